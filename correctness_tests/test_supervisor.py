"""The supervisor of a session: what ends its process costs the test that it was in, and leaves nothing behind."""

import contextlib
import os
import signal
import time

import psutil
import pytest
from fake_supervised import NAME, PROGRAM, ran, supervised
from running import run_python

from eagerbench.isolation import death, journal, supervisor
from eagerbench.machine.owned import FREE, HELD, look

pytestmark = pytest.mark.skipif(not supervisor.POSSIBLE, reason="sessions are supervised on Linux only")


@pytest.mark.parametrize(("fault", "how"), [
    ("segfault", "SIGSEGV"), ("abort", "SIGABRT"), ("illegal", "SIGILL"), ("float", "SIGFPE"), ("exit", "exit code 3"),
    ("exit-0", "exit code 0"), ("kill", "SIGKILL"), ("unheeded", "no end after 0.5 s"), ("sleep", "no end after 0.5 s"),
    ("stopped", "no end after 0.5 s"), ("children", "exit code 5"), ("garbage", "SIGABRT")])
def test_a_fault_costs_its_own_test(fault, how, tmp_path):
    code, out, finished, parts = ran(tmp_path, t1=fault)
    assert f"crashed: {how} in variant-t1 while building; continuing after it\n" in out
    assert code == 0, out  # of the process that ended the session: a test that crashed fails in pytest's own count
    assert list(finished) == ["t0", "t1", "t2", "t3"]
    cell = finished["t1"]["cell"]
    assert (cell["bench_id"], cell["status"], cell["reason"]) == (
        "t1", "failed", f"crashed: {how} in variant-t1 while building")
    if fault in ("segfault", "abort", "illegal", "float", "sleep", "garbage"):
        assert any("fake_session.py" in line for line in cell["crash"]["stack"])
    if fault == "garbage":
        assert cell["crash"]["stderr"] == ["\N{REPLACEMENT CHARACTER}\\x1b[31m\\x00 garbage"] * 20
    assert [part["finished"] for part in parts] == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved.json"]


def test_several_faults_are_several_parts(tmp_path):
    code, _, finished, parts = ran(tmp_path, t0="abort", t1="exit", t3="segfault")
    assert code == 0
    assert [name for name, line in finished.items() if "crashed" in line] == ["t0", "t1", "t3"]
    assert [part.get("ended") for part in parts] == [
        "SIGABRT in variant-t0 while building", "exit code 3 in variant-t1 while building",
        "SIGSEGV in variant-t3 while building", None]


@pytest.mark.parametrize(("planned", "code", "said", "kept"), [
    ({"start": "abort"}, 1, "crashed: SIGABRT before any test began", None),
    ({"start": "exit"}, 3, "", None),  # the session has said why
    ({"end": "abort"}, 1, "crashed: SIGABRT before any test began\n", 4),
    ({"t1": "abort", "start-2": "abort"}, 1, "crashed: SIGABRT before any test began\n", 2),
    ({"start": "sleep"}, 1, "crashed: no end after 3 s before any test began (imports, collection and models; "
     "--case-timeout SECONDS allows more)\n", None),
    ({"t1": "abort", "start-2": "unheeded"}, 1, "crashed: no end after 3 s before any test began (imports, ", 2),
    ({"saving": "exit"}, 3, "4 of 4 tests finished, kept in", 4),
    ({"after": "segfault"}, 1, "SIGSEGV at the end of the session, after everything was saved", None)])
def test_a_fault_beside_the_tests_does_not_loop(planned, code, said, kept, tmp_path):
    found, out, _, _ = ran(tmp_path, **planned)
    assert (found, said in out) == (code, True), out
    file = tmp_path / NAME
    assert file.exists() == (kept is not None)
    if kept:
        assert len(journal.read(file).finished) == kept
        assert f"continue: pytest perf_tests --resume={file}\n" in out
        with look(file.with_suffix(".lock")) as state:
            assert state == FREE


def in_test(process, directory, name="t1"):
    """Wait until a test has begun."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(journal.UnreadableFile):
            if (begun := journal.read(directory / NAME).begun) and begun["began"] == name:
                return psutil.Process(process.pid).children()[0]
        time.sleep(0.01)
    raise AssertionError("no test began")


def held(lock):
    """Wait until the supervisor holds this lock: a session does not wait for that, so a test may begin before."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with look(lock) as state:
            if state == HELD:
                return
        time.sleep(0.01)
    raise AssertionError("nobody took the lock")


@pytest.mark.parametrize("to_group", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 2), (signal.SIGTERM, -15), (signal.SIGHUP, -1)])
def test_a_signal_ends_both_once(number, code, to_group, tmp_path, monkeypatch):
    """Sent to the supervisor alone, or to the whole group as a terminal and a runner of CI do."""
    with supervised(tmp_path, t1="sleep") as process:
        in_test(process, tmp_path)
        (os.killpg if to_group else os.kill)(process.pid, number)
        out = process.communicate(timeout=30)[0]
    assert process.returncode == code, out
    assert "continuing after it" not in out
    assert "1 of 4 tests finished, kept in" in out
    assert list(journal.read(tmp_path / NAME).finished) == ["t0"]


def test_what_ignores_sigterm_is_killed_after_a_while(tmp_path):
    patched = PROGRAM.replace("sys.exit", "import eagerbench.isolation.supervisor as s; s._GRACE_S = 0.2; sys.exit")
    with supervised(tmp_path, program=patched, t1="unheeded") as process:
        in_test(process, tmp_path)
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM


def test_a_killed_supervisor_takes_the_session_with_it(tmp_path):
    lock = (tmp_path / NAME).with_suffix(".lock")
    with supervised(tmp_path, t1="sleep") as process:
        in_test(process, tmp_path)
        held(lock)
        process.kill()
        process.wait()
    with look(lock) as state:
        assert state == FREE
    assert list(journal.read(tmp_path / NAME).finished) == ["t0"]


def test_a_stopped_session_may_take_its_time(tmp_path, monkeypatch):
    """Ctrl-Z and `fg`, or another session that measures: the time of a test begins anew."""
    monkeypatch.setenv("ALLOWED_S", "2")
    with supervised(tmp_path, t1="nap") as process:
        in_test(process, tmp_path)
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(2.2)
        os.killpg(process.pid, signal.SIGCONT)
        out = process.communicate(timeout=30)[0]
    assert "crashed" not in out
    assert process.returncode == 0


@pytest.mark.parametrize(("code", "killed", "stderr", "how", "memory"), [
    (-9, True, "", "out of memory (SIGKILL)", True), (-9, False, "", "SIGKILL", False),
    (-6, False, "terminate called after throwing an instance of 'std::bad_alloc'", "out of memory (SIGABRT)", True),
    (-6, True, "assertion failed", "SIGABRT", False), (1, False, "MemoryError", "out of memory (exit code 1)", True),
    (-35, False, "", "signal 35", False)])
def test_what_was_for_want_of_memory(code, killed, stderr, how, memory, tmp_path):
    (tmp_path / "stderr").write_text(stderr)
    with (tmp_path / "stderr").open("rb") as file, open(os.devnull, "rb") as nothing:
        found = death.death(code, None, killed, nothing.fileno(), file.fileno())
    assert (found.how, found.memory) == (how, memory)


def test_the_last_lines_are_few_whole_and_visible(tmp_path):
    file = tmp_path / "stderr"
    file.write_bytes(b"\x1b[31m\xff" + b"x" * 30_000 + b"\n" + b"line\x07\n" * 30)
    with file.open("rb") as opened:
        assert death.last_lines(opened.fileno(), 20) == [r"line\x07"] * 20


LAST_WORDS = """
import os, sys, tempfile
from eagerbench.isolation import link, part as parts, supervisor
if link.VARIABLE in os.environ:
    kept = tempfile.TemporaryFile()
    kept.write(b"last words")
    kept.flush()
    link.Link.taken().tell(kept.fileno(), journal="journal.jsonl")
    os.abort()
with supervisor._blocked() as (signals, mask):
    part = parts.Part([sys.executable, *sys.orig_argv[1:]], 1, None, mask, lambda file: None, 60.0)
    os.waitid(os.P_PID, part._process.pid, os.WEXITED | os.WNOWAIT)
    code = part.wait(signals)
    print(part.death(code).stderr, part.journal)
"""


def test_what_it_said_is_kept_however_soon_it_ends():
    """Its journal and its stderr come with one message, which may be read when it has long ended."""
    ended = run_python("-c", LAST_WORDS)
    assert ended.out == "['last words'] journal.jsonl\n", ended.err
