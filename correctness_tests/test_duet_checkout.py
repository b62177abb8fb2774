"""What a duet compares: revisions in worktrees, and directories with what is not committed."""

import re
import subprocess

import pytest
from fake_suites import GOOD, suite

from analysis import duet_checkout


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
