"""Commands that start sessions: one that dies or fails is a line, and whatever ends the command leaves nothing."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from running import ROOT, own_environment

from eagerbench import cli
from eagerbench.errors import CannotRun, Crashed
from eagerbench.measuring import own_process, own_session, wait_costs

GOOD = """
import json, sys
file = sys.argv[sys.argv.index("--benchmark-json") + 1]
cells = [{"variant": "sdpa", "status": "failed", "reason": "not engaged: no fused kernel"}]
open(file, "w").write(json.dumps({"benchmarks": BENCHES, "eagerbench": {"cells": cells}}))
sys.exit(CODE)
"""


def started_as(monkeypatch, source):
    """Sessions are this program."""
    monkeypatch.setattr(own_session, "command", lambda *arguments: [sys.executable, "-c", source,
                                                                    *map(str, arguments)])


def good(benches, code=0):
    return GOOD.replace("BENCHES", repr(benches)).replace("CODE", str(code))


def test_benchmarks_are_kept_whatever_else_failed(monkeypatch, tmp_path):
    started_as(monkeypatch, good([{"name": "one"}], 1))
    assert own_session.benchmarks("a session", ["--threads", 1]) == [{"name": "one"}]
    file = tmp_path / "kept.json"
    own_session.benchmarks("a session", [], file)
    assert file.exists()


@pytest.mark.parametrize(("source", "said"), [
    ("import os; os.abort()", "a session: SIGABRT"),
    ("import sys; sys.exit('ERROR: --model: no such directory')",
     "a session: ended with status 1 (ERROR: --model: no such directory)"),
    ("print('no tests ran')", "a session: ended with status 0 (no tests ran)"),
    (good([], 1), "a session: ended with status 1 (sdpa: not engaged: no fused kernel)")])
def test_a_session_without_results_is_one_line(source, said, monkeypatch):
    started_as(monkeypatch, source)
    with pytest.raises(CannotRun) as failed:
        own_session.benchmarks("a session", [])
    assert str(failed.value) == said


def test_a_session_that_does_not_end_is_ended(monkeypatch):
    started_as(monkeypatch, "import time; time.sleep(77)")
    monkeypatch.setattr(own_session, "TIMEOUT_S", 0.1)
    with pytest.raises(CannotRun, match="no end in"):
        own_session.benchmarks("a session", [])


@pytest.mark.parametrize(("arguments", "lines"), [
    (("noise", "--processes", "1"), 4), (("choices", "--runs", "2", "--directory", "{}/choices"), 3),
    (("busy", "--model", "tiny-bert", "--condition", "quiet", "--sessions", "2", "--json", "{}/busy.json"), 2)])
def test_the_others_go_on(arguments, lines, monkeypatch, tmp_path, capsys):
    """Each session that dies is a line, with a table or a line of what that means at the end."""
    started_as(monkeypatch, "import os; os.abort()")
    cli.main([word.format(tmp_path) for word in arguments])
    shown = capsys.readouterr()
    said = shown.err.splitlines()
    assert len(said) == lines
    assert sum("SIGABRT" in line for line in said) == min(lines, 4 if arguments[0] == "noise" else 2)
    assert "Traceback" not in shown.err + shown.out


def test_a_disturbed_record_is_refused():
    bench = {"extra_info": {"variant": "sdpa", "usable": False, "unusable_reason": "busy"}}
    with pytest.raises(CannotRun, match="sdpa was disturbed: busy"):
        own_session.usable([bench])


def test_a_process_of_a_wait_policy_that_dies_is_one_line(monkeypatch, tmp_path, capsys):
    """While it builds, and while it is asked."""
    monkeypatch.setattr(own_process, "command", lambda *words: [sys.executable, "-c", "import os; os.abort()"])
    assert cli.main(["wait-policy", "--artifacts", str(tmp_path)]) == 3
    assert capsys.readouterr().err.startswith("crashed: SIGABRT in the process with policy ")
    answers = "print('noise'); print('eagerbench: ready', flush=True); input(); print('\\neagerbench: 0.5', flush=True)"
    dies = f"import os; {answers}; input(); os.abort()"
    monkeypatch.setattr(own_process, "command", lambda *words: [sys.executable, "-c", dies])
    asked = wait_costs.Asked("passive", 1, tmp_path, tmp_path)
    try:
        asked.ready()
        assert asked.median_s("one") == 0.5
        with pytest.raises(Crashed, match="SIGABRT in the process with policy passive"):
            asked.median_s("two")
    finally:
        asked.end()


PARENT = """
import sys, time
from eagerbench.measuring import own_session
with own_session.running(own_session.program("open(sys.argv[0], 'w')\\nwhile True: time.sleep(77)".replace(
        "sys.argv[0]", repr(sys.argv[1])).replace("time.sleep", "__import__('time').sleep"))) as found:
    print(found[0].pid, flush=True)
    time.sleep(77)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_runs_beside_ends_with_the_command(number, tmp_path):
    sign = tmp_path / "began"
    environment = {**own_environment(), "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", PARENT, str(sign)], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        deadline = time.monotonic() + 60
        while not sign.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert sign.exists()
        os.kill(parent.pid, number)
    _, left = psutil.wait_procs([child], timeout=60)
    assert left == []


def test_a_command_dies_with_the_process_that_started_it(tmp_path):
    """`eagerbench run`, say: the mark goes to it, and not on to what it starts."""
    program = ("import os, sys\nfrom eagerbench.machine import children\nchildren.die_with_starter()\n"
               "print('EAGERBENCH_PARENT' in os.environ, flush=True)")
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                           env={**own_environment(), "PYTHONPATH": str(ROOT), "EAGERBENCH_PARENT": str(os.getpid())})
    assert (found.returncode, found.stdout) == (0, "False\n")
    orphan = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                            env={**own_environment(), "PYTHONPATH": str(ROOT), "EAGERBENCH_PARENT": "1"})
    assert (orphan.returncode, orphan.stdout) == (1, "")
