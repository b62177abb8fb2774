"""Whose a file or directory is: a living owner keeps it, wherever it lives; a killed one does not."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from running import ROOT, own_environment

from eagerbench.fixtures.journal import Journal
from eagerbench.gate import duet_checkout
from eagerbench.machine import owned
from eagerbench.machine.owned import FREE, HELD, UNKNOWN, Lock, look


def namespace() -> list[str]:
    """Runs a command as process 1 of a namespace of its own, as a container does."""
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    usable = shutil.which("unshare") and not subprocess.run([*command, "true"], capture_output=True, check=False
                                                            ).returncode
    return command if usable else []


@contextlib.contextmanager
def running(code: str, *inside: str, **environment: str):
    """A Python process that has run `code` and then waits; killed at the end, if not before."""
    command = [*inside, sys.executable, "-c", f"{code}\nprint('ready', flush=True)\nimport time; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**own_environment(), **environment,
                          "PYTHONPATH": str(ROOT)}) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def state(file) -> str:
    with look(file) as found:
        return found


def freed(file) -> bool:
    """The kernel releases the lock when the killed process is gone."""
    deadline = time.monotonic() + 10
    while state(file) != FREE and time.monotonic() < deadline:
        time.sleep(0.05)
    return state(file) == FREE


@pytest.mark.parametrize("apart", [False, True])
def test_a_lock_dies_with_its_holder(tmp_path, apart):
    inside = namespace() if apart else []
    if apart and not inside:
        pytest.skip("this kernel gives no process namespace")
    file = tmp_path / "a.lock"
    with running(f"from pathlib import Path; from eagerbench.machine.owned import Lock; "
                 f"kept = Lock(Path({str(file)!r}))",
                 *inside) as process:
        assert state(file) == HELD
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert freed(file)


def test_what_is_not_sure_is_unknown(tmp_path, monkeypatch):
    file = tmp_path / "a.lock"
    assert state(file) == UNKNOWN
    lock = Lock(file)
    assert state(file) == HELD
    lock.release()
    assert list(tmp_path.iterdir()) == []
    os.mkfifo(tmp_path / "pipe")
    assert state(tmp_path / "pipe") == UNKNOWN
    (tmp_path / "pipe").unlink()
    another = {"host": "another", "boot": "another", "pid": os.getpid()}
    for content in ("", "[]", "[" * 4096, '"x"', json.dumps(another)):
        file.write_text(content)
        assert state(file) == UNKNOWN
    file.write_text(json.dumps(owned._here()))
    assert state(file) == FREE

    def unsupported(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert state(file) == UNKNOWN
    with pytest.raises(OSError, match="not supported"):
        Lock(tmp_path / "b.lock")
    assert [left.name for left in tmp_path.iterdir()] == ["a.lock"]


def test_a_living_duet_is_left_alone_and_a_killed_one_is_cleared(tmp_path, monkeypatch):
    repository, scratch = tmp_path / "repository", tmp_path / "tmp"
    scratch.mkdir()
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    (repository / "eagerbench" / "measuring").mkdir(parents=True)
    (repository / "eagerbench" / "measuring" / "partner.py").write_text("")
    for arguments in (["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], check=True)
    monkeypatch.setattr(duet_checkout.tempfile, "gettempdir", lambda: str(scratch))
    for name in ("eagerbench-duet-4194999-old", f"eagerbench-duet-{os.getpid()}-x", "eagerbench-duet-"):
        (scratch / name).mkdir()  # of a version that trusted process numbers: not known to be anybody's
    before = set(scratch.iterdir())
    code = f"""
from pathlib import Path
from eagerbench.gate import duet_checkout
repository = Path({str(repository)!r})
side = duet_checkout.resolve("--base", "HEAD", repository)
with_sides = duet_checkout.checked_out({{"base": side, "head": side}})
with_sides.__enter__()"""

    def worktrees() -> int:
        return len(subprocess.run([*git, "worktree", "list"], capture_output=True, text=True, check=True
                                  ).stdout.splitlines())

    with running(code, *namespace(), TMPDIR=str(scratch)) as process:
        (made,) = set(scratch.iterdir()) - before
        duet_checkout._remove_stale()
        assert (made / "base" / "eagerbench").exists()
        assert worktrees() == 3
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert freed(made / "owner.lock")
    duet_checkout._remove_stale()
    assert set(scratch.iterdir()) == before
    assert worktrees() == 1


def test_no_name_in_the_rescue_directory_ends_a_session(tmp_path):
    directory = tmp_path / "interrupted"
    odd = ["kept.json", "20261125-020000-77 copy.json", f"20261125-020000-{'9' * 200}.json", "x\ny.json", "-.json",
           "20261125-020000-٣.json", os.fsdecode(b"\xff\xfe.json"), ".json", "1.json.json"]
    journal = Journal(None, directory)
    assert journal.leftovers() == []
    directory.mkdir()
    for name in odd:
        (directory / name).write_text("{}")
    (directory / "20261125-020000-1.json").mkdir()
    (directory / "20261125-020001-7.json").symlink_to("nowhere")
    for line in journal.leftovers():
        assert line.isprintable(), line
        line.encode()
    (directory / "20261125-020003-4711.json").write_text("{}")
    assert any("4711" in line and "not known to have ended" in line for line in journal.leftovers())
    for name in ("20261125-020004-ab.lock", "20261125-020005-cd.lock"):
        (directory / name).write_text(json.dumps(owned._here()))
    (directory / "20261125-020004-ab.json").write_text("{}")
    lines = journal.leftovers()
    assert any("an interrupted session" in line and "-ab.json" in line for line in lines)
    assert not (directory / "20261125-020005-cd.lock").exists()  # its results were read and deleted
    lock = Lock(directory / "20261125-020006-ef.lock")
    (directory / "20261125-020006-ef.json").write_text("{}")
    assert not any("-ef.json" in line for line in journal.leftovers())
    lock.release()


@pytest.mark.parametrize("make", [lambda place: place.write_text("no directory"), lambda place: place.mkdir(0)])
def test_a_rescue_directory_that_is_none(tmp_path, make):
    make(tmp_path / "interrupted")
    assert Journal(None, tmp_path / "interrupted").leftovers() == []
