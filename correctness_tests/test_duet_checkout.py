"""What a duet compares: revisions in worktrees, and directories with what is not committed."""

import errno
import re
import shutil
import subprocess
import tempfile
from types import SimpleNamespace

import pytest
from fake_suites import GOOD, suite

from eagerbench.gate import duet as analysis_duet
from eagerbench.gate import duet_checkout


@pytest.fixture
def repository(tmp_path):
    """Three commits: one that cannot take turns, one that can, and a change in one benchmark."""
    directory = tmp_path / "repository"
    directory.mkdir()

    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=directory, check=True,
                       capture_output=True)

    git("init", "-q")
    for message in ("old", "new", "changed"):
        if message != "old":
            suite(directory, GOOD + f"# {message}\n")
        (directory / "README").write_text(message)
        git("add", ".")
        git("commit", "-q", "-m", message)
    return directory


def test_revisions_run_in_worktrees_that_are_removed(duet, repository):
    (repository / "README").write_text("changed here")
    _, content = duet("HEAD~1", ".", cwd=repository)
    assert content["pairs"][0]["valid"], content
    assert len(content["base"]["revision"]) == 40
    assert re.fullmatch("[0-9a-f]{40}-dirty-[0-9a-f]{12}", content["head"]["revision"])
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


def test_two_states_of_one_revision_are_two_heads(repository):
    def revision():
        return duet_checkout.resolve("--head", str(repository), repository).revision

    found = [revision()]
    for file, text in (("README", "one"), ("README", "two"), ("new.py", "x = 1"), ("new.py", "x = 2")):
        (repository / file).write_text(text)
        found.append(revision())
    assert len(found[0]) == 40
    assert len(set(found)) == len(found)
    (repository / "notes.txt").write_text("not code")
    assert revision() == found[-1]
    (repository / "README").unlink()
    assert revision() not in found


@pytest.mark.parametrize(("base", "line"), [
    ("HEAD~2", "is older than the duet"),
    ("no-such-thing", "--base no-such-thing: neither a revision in"),
    ("", "neither a revision in"),
])
def test_what_cannot_be_compared_is_one_line(duet, repository, base, line):
    ended, content = duet(base, ".", cwd=repository)
    assert ended.code == 2
    assert line in ended.err
    assert len(ended.err.splitlines()) == 1
    assert content == {}
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


def resolved(repository, text: str) -> str:
    with pytest.raises(duet_checkout.CannotCheckOut) as error:
        duet_checkout.resolve("--base", text, repository)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("text", ["HEAD~1", "{repository}"])
def test_a_repository_of_another_owner_says_what_to_type(repository, monkeypatch, text):
    """As a revision and as a directory: as no repository, its ignored files would be copied too."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    said = resolved(repository, text.format(repository=repository))
    assert "dubious ownership" in said
    assert "type: git config --global --add safe.directory" in said


def test_a_shallow_clone_says_so(repository, tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{repository}", str(clone)], check=True)
    assert "type: git fetch --unshallow" in resolved(clone, "HEAD~1")


def test_without_git(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository / "nowhere"))
    assert "git is not installed" in resolved(repository, "HEAD~1")
    assert "git is not installed" in resolved(repository, str(repository))
    plain = repository.parent / "plain"
    plain.mkdir()
    assert duet_checkout.resolve("--base", str(plain), repository).revision == str(plain)


def test_a_damaged_repository_shows_gits_own_words(repository):
    commit = subprocess.run(["git", "rev-parse", "HEAD~1"], cwd=repository, capture_output=True, text=True, check=True
                            ).stdout.strip()
    (repository / ".git" / "objects" / commit[:2] / commit[2:]).unlink()
    assert re.search(r"nor a directory \(.*\w+.*\)$", resolved(repository, commit))
    (repository / ".git" / "HEAD").write_text("nonsense")
    assert "not a git repository" in resolved(repository, "HEAD~1")


def test_an_option_is_no_revision(repository):
    for text in ("--all", "~no-such-user/x", "x" * 5000, "a\0b"):
        assert "neither a revision" in resolved(repository, text)
    assert "type: git branch --all" in resolved(repository, "mian")


@pytest.mark.parametrize(("error", "says"), [
    (OSError(errno.ENOSPC, "No space left on device", "{tmp}/x"), "TMPDIR"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "TMPDIR"),
    (OSError(errno.ENOSPC, "No space left on device", "/elsewhere/duet.json.partial"), "free some space there"),
    (shutil.Error([("a", "b", "[Errno 13] Permission denied: 'a'"), ("c", "d", "[Errno 28] No space left on device")]),
     "TMPDIR"),
    (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "TMPDIR"),
    (duet_checkout.CannotCheckOut("--base x: neither a revision nor a directory"), "nor a directory"),
    (shutil.Error([("a", "b", "[Errno 13] Permission denied: 'a'")]), "Permission denied: 'a'"),
])
def test_a_full_disk_says_what_to_do(error, says):
    if getattr(error, "filename", None):
        error.filename = error.filename.format(tmp=tempfile.gettempdir())
    line = duet_checkout.told(error)
    assert line.endswith(says)
    assert "\n" not in line


def test_a_full_disk_ends_a_duet_with_one_line(monkeypatch, tmp_path, capsys):
    def measure(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(analysis_duet, "measure", measure)
    assert analysis_duet.run(SimpleNamespace(output=tmp_path / "out.json", pairs=1, null_pairs=0, only=[],
                                             stage="screen")) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.endswith("by the variable TMPDIR")
