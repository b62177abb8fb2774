"""Processes of their own that really die, hang, print without end or leave children: each has a reason of one line, and
nothing of it stays."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from running import ROOT, copy_of_project, own_environment, run_pytest
from test_processes import NO_GRAD, SMALL, two_cores

from eagerbench.backends.base import Placement
from eagerbench.errors import CannotRun, Crashed
from eagerbench.experiments.memory import MemoryRun
from eagerbench.measuring import fresh_process, own_process
from eagerbench.measuring.own_process import OwnProcess
from eagerbench.models import specs
from eagerbench.workloads.padded_batch import PaddedBatch

INSIDE = """
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path
from eagerbench.measuring.served import Served
served = Served(Path(sys.argv[1]))
def action():
    served.doing("building")
    {deed}
served.run(action)
"""
BLOCK = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); "
DEEDS = {
    "segfault": ("ctypes.string_at(0)", "crashed: SIGSEGV in sdpa while building, in a process of its own "
                 "(Segmentation fault in string_at (__init__.py line"),
    "abort": ("print('double free', file=sys.stderr); os.abort()",
              "crashed: SIGABRT in sdpa while building, in a process of its own (Aborted in action ("),
    "illegal": ("os.kill(os.getpid(), signal.SIGILL)", "crashed: SIGILL in sdpa while building"),
    "float": ("os.kill(os.getpid(), signal.SIGFPE)", "crashed: SIGFPE in sdpa while building"),
    "exit": ("os._exit(3)", "crashed: ended with status 3 in sdpa while building"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)",
               "crashed: SIGKILL (not by the kernel for want of memory) in sdpa while building"),
    "hangs": (BLOCK + "ctypes.CDLL(None).pause()", "crashed: no answer in 3 s in sdpa while building"),
    "stopped": ("os.kill(os.getpid(), signal.SIGSTOP)", "crashed: no answer in 3 s in sdpa while building"),
    "garbage": ("[os.write(stream, bytes(range(256)) * 4000) for stream in (1, 2)]; os.abort()",
                "crashed: SIGABRT in sdpa while building"),
    "endless": ("[os.write(stream, b'x' * 65536) for _ in iter(int, 1) for stream in (1, 2)]",
                "crashed: no answer in 3 s in sdpa while building"),
    "raises": ("raise ValueError('no such layer')", "in a process of its own: ValueError: no such layer"),
    "memory": ("import resource; resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29)); bytes(2**30)",
               "in a process of its own: MemoryError"),
    "leaves": ("[subprocess.Popen(['sleep', '77'], start_new_session=apart) for apart in (False, True)]; os.abort()",
               "crashed: SIGABRT in sdpa while building"),
    "forks": ("os.fork() or (os.setsid(), os.fork() or time.sleep(77)); time.sleep(0.2); os._exit(4)",
              "crashed: ended with status 4 in sdpa while building"),
}


def ended_as(deed: str, timeout_s: float, notes: Path, done=lambda process: process.ended) -> OwnProcess:
    process = OwnProcess("sdpa", [sys.executable, "-c", INSIDE.format(deed=deed), str(notes)], notes)
    try:
        own_process.wait([process], done, timeout_s)
        return process
    except BaseException:
        process.close()
        raise


def marked() -> list[str]:
    """Commands of processes with a mark of this one, stopped ones too."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("EAGERBENCH_PROCESS", "").startswith(f"{os.getpid()}-"):
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


SLOW = ("stopped", "endless")  # three seconds each, until there is no answer; "hangs" waits for it every time


@pytest.mark.parametrize("how", [pytest.param(how, marks=[pytest.mark.slow] * (how in SLOW)) for how in DEEDS])
def test_it_has_a_reason_and_leaves_nothing(tmp_path, how):
    deed, reason = DEEDS[how]
    late = "no answer" in reason
    process = ended_as(deed, 3 if late else 100, tmp_path / "notes")
    assert process.ended == (not late)
    with pytest.raises(CannotRun) as failed:
        process.require()
    assert str(failed.value).startswith(reason)
    assert isinstance(failed.value, Crashed) == reason.startswith("crashed")
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 400
    assert len(process.errors) <= 2**16
    assert marked() == []


def test_a_real_lack_of_memory_is_told_from_a_kill(tmp_path):
    """In a control group of its own: the kernel kills, and says so."""
    group = next((Path(root) / f"eagerbench-test-{os.getpid()}" for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")
                  if os.access(root, os.W_OK)), None)
    if group is None:
        pytest.skip("making a control group needs root")
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    try:
        limits = {"memory.max": 2**26, "memory.limit_in_bytes": 2**26, "memory.swap.max": 0}
        there = [name for name in limits if (group / name).exists()]
        if not there:
            pytest.skip("control groups do not limit memory here")
        for name in there:
            (group / name).write_text(str(limits[name]))
        deed = f"Path('{group}/cgroup.procs').write_text(str(os.getpid())); kept = b'x' * 2**28"
        process = ended_as(deed, 100, tmp_path / "notes")
        with pytest.raises(Crashed, match=r"crashed: SIGKILL by the kernel, as memory ran out, in sdpa while building"):
            process.require()
    finally:
        group.rmdir()


def test_it_dies_with_its_parent(tmp_path):
    """A parent that is killed by SIGKILL leaves no process; its temporary directory goes with the next one's."""
    parent = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from eagerbench.measuring import own_process
with own_process.scratch() as scratch:
    code = {INSIDE.format(deed="Path(sys.argv[2]).write_text(str(os.getpid())); time.sleep(77)")!r}
    process = own_process.OwnProcess("sdpa", [sys.executable, "-c", code, str(scratch / "notes"), sys.argv[1]],
                                     scratch / "notes")
    own_process.wait([process], lambda process: process.ended, 77)
"""
    sign = tmp_path / "pid"
    environment = {**own_environment(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", parent, sign], env=environment) as one:
        until(lambda: sign.exists() and sign.read_text())
        (left,) = tmp_path.glob("eagerbench-process-*")
        one.kill()
    until(lambda: not psutil.pid_exists(int(sign.read_text())))
    assert left.exists()
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path)
    try:
        with own_process.scratch() as scratch:
            assert not left.exists()
            with own_process.scratch():
                assert scratch.exists()  # its owner lives
    finally:
        tempfile.tempdir = before
    assert list(tmp_path.glob("eagerbench-process-*")) == []


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_waiting_works_where_the_kernel_tells_no_end(tmp_path, monkeypatch):
    def unsupported(_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", unsupported)
    process = ended_as("subprocess.Popen(['sleep', '77']); print('word', flush=True); os.abort()", 100,
                       tmp_path / "notes")
    assert process.output == b"word\n"
    with pytest.raises(Crashed, match="SIGABRT"):
        process.require()
    assert marked() == []


def test_a_result_that_is_missing_or_garbage_is_a_crash(tmp_path, monkeypatch):
    """A process that ends well and has written nothing, and one whose file is cut."""
    spec = specs.resolve("tiny-bert", 0)
    for deed in ("pass", "Path(sys.argv[1]).with_name('out0.npz').write_bytes(b'PK')"):
        monkeypatch.setattr(fresh_process.own_process, "command", lambda module, file, deed=deed: [
            sys.executable, "-c", INSIDE.format(deed=deed), str(file.with_name(fresh_process.NOTES))])
        with pytest.raises(Crashed, match=r"crashed: ended without a usable result .* in sdpa while building"):
            fresh_process.run_fresh("sdpa", None, spec, [{"input_ids": [[1, 2]]}], Placement())
    assert marked() == []


def test_a_peak_whose_process_crashes_is_asked_for_once(session_of, workshops, monkeypatch):
    """The other cases of the variant would only hang or die again; memory, which is nothing else, fails."""
    batch, started = PaddedBatch(2, 8), []

    def dying(module, file):
        started.append(file)
        return [sys.executable, "-c", INSIDE.format(deed="ctypes.string_at(0)"), str(file.with_name("notes"))]

    session, case_of = session_of(workshops("tiny-bert").model, "sdpa", [batch])
    case = case_of(batch)
    built = session.builds.build(case)
    monkeypatch.setattr(own_process, "command", dying)
    peak = session.peaks.of(case, built)
    assert peak.crashed
    assert peak.missing.startswith("crashed: SIGSEGV in sdpa while building, in a process of its own (Segmentation")
    assert session.peaks.of(case, built) is peak
    assert len(started) == 1
    with pytest.raises(Crashed, match="SIGSEGV in sdpa"):
        MemoryRun.complete(SimpleNamespace(session=session, case=case, built=built), None)
    assert marked() == []


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "deed"), [
    ("memory", "ctypes.string_at(0)"), ("startup", "os._exit(0)"),
    pytest.param("threads", "os.abort()", marks=two_cores)])
def test_a_crash_there_costs_its_own_case(tmp_path, monkeypatch, experiment, deed):
    """The variant is well in the session and dies in the process of its own: that case fails, and no other does. Its
    latency keeps its time, without a peak."""
    root = copy_of_project(tmp_path / "project")
    dying = NO_GRAD.replace("return self.module(**native)", "'eagerbench.fixtures.plugin' in sys.modules or "
                            f"{deed}\n                    return self.module(**native)")
    assert deed in dying
    dying = dying.replace('"""\n', '"""\nimport ctypes\nimport os\nimport sys\n', 1)
    (root / "eagerbench/backends/no_grad.py").write_text(dying)
    registry = root / "eagerbench/backends/__init__.py"
    registry.write_text(registry.read_text().replace('    "onnxruntime",\n', '    "onnxruntime",\n    "no_grad",\n'))
    file, scratch = root / "run.json", tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    ended = run_pytest(f"perf_tests/test_{experiment}.py", "perf_tests/test_latency.py", *SMALL, "--variant", "no-grad",
                       "--variant", "sdpa", "--benchmark-json", str(file), cwd=root)
    assert ended.code == 1, ended.out
    content = json.loads(file.read_text())
    cells = {(cell["experiment"], cell["variant"]): cell for cell in content["eagerbench"]["cells"]}
    wrong = {place for place, cell in cells.items() if cell["status"] == "failed"}
    assert wrong == {(experiment, "no-grad")}
    how = {"memory": "SIGSEGV", "startup": "ended with", "threads": "SIGABRT"}[experiment]
    assert cells[experiment, "no-grad"]["reason"].startswith(f"crashed: {how}")
    assert "in no-grad while " in cells[experiment, "no-grad"]["reason"]
    assert cells[experiment, "sdpa"]["status"] == "timed"
    costs = {bench["extra_info"]["identity"]["variant"]: bench["extra_info"]["costs"] for bench in content["benchmarks"]
             if bench["extra_info"]["identity"]["experiment"] == "latency"}
    assert costs.keys() == {"no-grad", "sdpa"}
    assert costs["no-grad"].get("peak_rss_bytes") is None
    assert costs["no-grad"]["peak_rss_missing"].startswith("crashed: ")
    assert costs["sdpa"]["peak_rss_bytes"] > 0
    assert list(scratch.glob("eagerbench-process-*")) == []
