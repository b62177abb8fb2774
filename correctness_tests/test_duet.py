"""Duets of real processes: what is measured, and what becomes of a side that fails. Most suites here are tiny fakes
with the real partner in them; none of them imports torch."""

import ast
import json
import os
import subprocess
import sys

import pytest
from fake_suites import GOOD, command, environment, left_of, suite
from running import ROOT, WITHOUT_PLUGINS, copy_of_project, own_environment

from eagerbench.gate import pairs
from eagerbench.gate.duet import _arms
from eagerbench.gate.duet_pair import LEAST_TURNS, MOST_TURNS, TURN_S, schedule
from eagerbench.gate.duet_request import arguments
from eagerbench.measuring.partner import VARIABLE


def test_pairs_and_null_arm(duet, tmp_path):
    ended, content = duet(suite(tmp_path / "one"), suite(tmp_path / "two"), "--seed", 7, "--turns", 3, pairs=1, null=1)
    assert ended.code == 0, ended.err
    assert content["seed"] == 7
    assert content["machine_info"]["allocator"] == "pinned"
    assert [pair["arm"] for pair in content["pairs"]] == ["head", "null"]
    assert len(content["base"]["directory"]) == len(content["head"]["directory"])
    for pair in content["pairs"]:
        assert (pair["valid"], pair["reason"], pair["failed"]) == (True, "", {})
        found = pair["benchmarks"]["good"]
        assert found["turns"] == len(found["base_turns"]) == len(found["head_turns"]) == 3
        assert set(pair["spent"]) == {"base", pair["arm"]}
        for parts in pair["spent"].values():  # the other side's turns are waited for; its own are timed
            assert parts["timing"] > 0 < parts["waiting"]
            assert sum(parts.values()) < pair["seconds"]
    assert "good  head" in ended.out


def test_turns_do_not_overlap_and_the_waiting_side_stands_still(duet, tmp_path):
    """A thread that never rests keeps a diary: nothing in it falls into a timed call of the other side."""
    spinning = '''
    import threading

    @pytest.mark.bench_id("spinning")
    def test_spinning(timed):
        diary, over = [], threading.Event()
        def spin():
            while not over.wait(0.001):
                diary.append(time.monotonic())
        thread = threading.Thread(target=spin)
        calls = []
        def call():
            thread.is_alive() or thread.start()
            calls.append(time.monotonic())
            time.sleep(0.03)
        timed(call)
        over.set()
        side = pathlib.Path.cwd()
        (pathlib.Path(os.environ["DIARY"]) / side.name).write_text(repr((calls[-16:], diary)))
    '''
    os.environ["DIARY"] = str(tmp_path)
    try:
        _, content = duet(suite(tmp_path / "one", spinning), suite(tmp_path / "two", spinning), "--turns", 4)
    finally:
        del os.environ["DIARY"]
    assert content["pairs"][0]["valid"], content
    diaries = {name: ast.literal_eval((tmp_path / name).read_text()) for name in ("base", "head")}
    for mine, other in (("base", "head"), ("head", "base")):
        calls, written = diaries[mine][0], diaries[other][1]
        inside = sum(any(start <= moment <= start + 0.025 for start in calls) for moment in written)
        assert len(written) > 100
        assert inside == 0


def test_failures_cost_one_benchmark_and_are_told(duet, tmp_path):
    """Wrong output, a failing call, a failing set-up, a skip, no measurement, vanished, new: in one session."""
    base = suite(tmp_path / "one", GOOD + '''
@pytest.fixture
def broken():
    raise RuntimeError("no model")

@pytest.mark.bench_id("wrong")
def test_wrong(timed):
    timed(work)

@pytest.mark.bench_id("raises")
def test_raises(timed):
    timed(work)

@pytest.mark.bench_id("set-up")
def test_set_up(timed):
    timed(work)

@pytest.mark.bench_id("unbuilt")
def test_unbuilt(timed):
    timed(work)

@pytest.mark.bench_id("empty")
def test_empty(timed):
    timed(work)

@pytest.mark.bench_id("old")
def test_old(timed):
    timed(work)

def test_no_benchmark():
    assert False, "has no identity: does not run in a duet"

@pytest.mark.bench_id("last")
def test_last(timed):
    timed(work)
''')
    head = suite(tmp_path / "two")
    text = (base / "perf_tests" / "test_fake.py").read_text()
    for name, body in {
        "wrong": "timed(work); pytest.fail('output differs')",
        "raises": "many = iter(range(6)); timed(lambda: work() or next(many))",
        "unbuilt": "pytest.skip('cannot be built')",
        "empty": "pass",
    }.items():
        text = text.replace(f"def test_{name}(timed):\n    timed(work)", f"def test_{name}(timed):\n    {body}")
    text = text.replace("def test_set_up(timed)", "def test_set_up(broken, timed)").replace('"old"', '"young"')
    (head / "perf_tests" / "test_fake.py").write_text(text)
    ended, content = duet(base, head)
    (pair,) = content["pairs"]
    assert ended.code == 0
    assert pair["valid"]
    assert sorted(pair["benchmarks"]) == ["good", "last"]
    assert pair["failed"] == {
        "wrong": "head: output differs", "raises": "head: StopIteration", "set-up": "head: RuntimeError: no model",
        "unbuilt": "head: cannot be built", "empty": "head: its test passed without a measurement",
        "old": "vanished", "young": "new"}
    for name, reason in pair["failed"].items():
        assert f"{name}: {reason}" in ended.err


def test_abba(duet, tmp_path):
    """Whole processes, each side first in turn; a side that lacks a benchmark is told as in turns."""
    old = GOOD.replace('"good"', '"old"').replace("test_good", "test_old")
    ended, content = duet(suite(tmp_path / "one", GOOD + old), suite(tmp_path / "two"), "--design", "abba", pairs=2)
    assert content["design"] == "abba"
    assert [pair["failed"] for pair in content["pairs"]] == [{"old": "vanished"}] * 2
    assert all(pair["benchmarks"]["good"]["turns"] == 1 for pair in content["pairs"])
    assert "detects less" in ended.out
    file = tmp_path / "abba.json"
    file.write_text(json.dumps(content))
    assert pairs.read(file) == content


def test_sides_that_plan_other_numbers_of_turns_are_cut_alike():
    """As abba's do where a call takes longer on one side."""
    from eagerbench.gate.duet_pair import _ratio

    found = _ratio([0.1, 0.2, 0.3], [0.2, 0.4])
    assert (found["turns"], found["base_turns"], found["head_turns"]) == (2, [0.1, 0.2], [0.2, 0.4])


def test_only_and_controls(duet, tmp_path):
    names = ("good", "control/matmul", "other")
    tests = "".join(GOOD.replace('"good"', f'"{name}"').replace("test_good", f"test_{index}")
                    for index, name in enumerate(names))
    _, content = duet(suite(tmp_path / "one", tests), suite(tmp_path / "two", tests), "--only", "good")
    assert sorted(content["pairs"][0]["benchmarks"]) == ["control/matmul", "good"]


@pytest.mark.slow  # test_what_makes_sides_unlike has the reason
def test_only_what_neither_side_has(duet, tmp_path):
    ended, content = duet(suite(tmp_path / "one"), suite(tmp_path / "two"), "--only", "goood")
    assert ended.code == 3
    assert "neither side has the benchmark goood" in content["pairs"][0]["reason"]


def test_other_interpreter_gets_the_same_stack(duet, tmp_path):
    """The partner measures arguments and environment; a longer path of one interpreter is made up for."""
    longer = tmp_path / "an-environment-of-a-longer-name"
    longer.symlink_to(sys.prefix)
    _, content = duet(suite(tmp_path / "one"), suite(tmp_path / "two"), "--head-python", longer / "bin" / "python")
    assert content["pairs"][0]["valid"], content["pairs"]
    assert len(content["head"]["python"]) > len(content["base"]["python"])


def test_wrong_usage_is_one_line(duet, tmp_path):
    both = suite(tmp_path / "one")
    ended, _ = duet(both, both, "--head-python", "no-such-python")
    assert (ended.code, ended.err) == (2, "no-such-python: no such interpreter\n")
    ended, _ = duet(both, both, pairs=0)
    assert ended.code == 2
    assert "--pairs" in ended.err


def test_partner_alone_is_refused():
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "eagerbench.fixtures.partner", "--collect-only",
                           *WITHOUT_PLUGINS, "perf_tests/test_control.py", "--variant", "eager"],
                          cwd=ROOT, capture_output=True, text=True, check=False,
                          env={name: value for name, value in own_environment().items() if name != VARIABLE})
    assert done.returncode == 4
    assert "`eagerbench duet`" in done.stderr


@pytest.mark.slow
def test_wrong_output_in_head_has_no_time(tmp_path):
    """The real suite: correctness is judged in a duet as always, and costs the other variant nothing."""
    head = copy_of_project(tmp_path / "head")
    module = head / "eagerbench" / "backends" / "onnxruntime.py"
    text = module.read_text()
    assert "BACKEND = " in text
    module.write_text(text + '''

_load = type(BACKEND).load


def _wrong(*arguments):
    runner = _load(*arguments)
    arrays = runner.arrays
    runner.arrays = lambda outputs: {name: array + 0.1 for name, array in arrays(outputs).items()}
    return runner


type(BACKEND).load = _wrong
''')
    module.write_text(module.read_text().replace('"onnxruntime-basic"', '"onnxruntime-plain"'))
    output = tmp_path / "duet.json"
    done = subprocess.run(
        command("--base", ROOT, "--head", head, "--pairs", 1, "--null-pairs", 0, "--", "--model", "tiny-bert",
                "--variant", "eager", "--variant", "onnxruntime", "--variant", "onnxruntime-basic", "--variant",
                "onnxruntime-plain", "--batch-sizes", "4", "--sequence-lengths", "16",
                "--threads", "1", "--time-budget", "0.1", "--peaks", "here", "-k", "latency", output=output),
        cwd=ROOT, capture_output=True, text=True, check=False, env=environment(tmp_path / "tmp"))
    (pair,) = json.loads(output.read_text())["pairs"]
    assert pair["valid"], pair["reason"]
    assert list(pair["benchmarks"]) == ["tiny-bert/eager/b4/s16/cpu"]
    failed = pair["failed"]
    assert failed.pop("tiny-bert/onnxruntime-basic/b4/s16/cpu") == "vanished"  # renamed in head
    assert failed.pop("tiny-bert/onnxruntime-plain/b4/s16/cpu") == "new"
    (failed,) = failed.items()
    assert failed[0] == "tiny-bert/onnxruntime/b4/s16/cpu"
    assert failed[1].startswith("head: tiny-bert/onnxruntime/b4/s16/cpu: output differs")
    assert done.returncode == 0
    assert left_of(tmp_path / "tmp") == []


@pytest.mark.parametrize(("heads", "null"), [(6, 3), (10, 5), (1, 0), (2, 2), (3, 7)])
def test_null_pairs_are_spread(heads, null):
    arms = _arms(heads, null)
    assert (arms.count("head"), arms.count("null")) == (heads, null)
    for cut in range(len(arms)):
        assert abs(arms[:cut].count("null") - cut * null / len(arms)) <= 1


@pytest.mark.parametrize("calls", [[1e-5, 1e-5], [0.01, 0.02], [0.03, 0.03], [1.0, 1.1], [30.0, 30.0]])
def test_schedule_fills_turns(calls):
    turns, rounds = schedule(calls)
    assert LEAST_TURNS <= turns <= MOST_TURNS
    assert rounds * min(calls) >= min(TURN_S, 2000 * min(calls))


def test_paths_hold_in_other_directories(tmp_path, monkeypatch):
    monkeypatch.delenv("EAGERBENCH_ARTIFACTS")
    (tmp_path / "model").mkdir()
    assert arguments(["--model", "./model", "--model=model", "--variant", "sdpa"], tmp_path, True) == [
        "perf_tests", "--benchmark-only", "--model", f"{tmp_path}/model", f"--model={tmp_path}/model", "--variant",
        "sdpa", f"--artifacts={tmp_path}/.artifacts"]
    assert arguments(["--artifacts=/x"], tmp_path, True)[-1] == "--artifacts=/x"
    monkeypatch.setenv("EAGERBENCH_ARTIFACTS", "/y")
    assert arguments([], tmp_path, True)[-1] == "--artifacts=/y"
    assert arguments(["perf_tests/test_control.py::test_control", "--artifacts=/x"], tmp_path, True) == [
        "--benchmark-only", "perf_tests/test_control.py::test_control", "--artifacts=/x"]


def test_sides_say_what_they_ran_on(duet, tmp_path):
    said = '''
    from eagerbench.fixtures.partner import PARTNER

    @pytest.mark.bench_id("good")
    def test_good(timed, request):
        request.config.stash[PARTNER].describe({{"weights_sha256": "a", "code_sha256": "{code}", "other": 1}})
        timed(work)
    '''
    one, two = (suite(tmp_path / code, said.format(code=code)) for code in "cd")
    ended, content = duet(one, two)
    assert content["base"]["models"] == {"good": {"weights_sha256": "a", "code_sha256": "c"}}
    assert content["head"]["models"] == {"good": {"weights_sha256": "a", "code_sha256": "d"}}
    assert "model code changed in 1 benchmark" in ended.out
    assert pairs.meanings([content]) == {"good": ("", "model code changed")}
