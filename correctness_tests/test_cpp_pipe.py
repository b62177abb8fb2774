"""The pipe to a runner in C++, its files, and its command line: by a runner without a runtime, compiled here."""

import gc
import os
import shutil
import subprocess
from pathlib import Path

import fake_timing
import numpy as np
import pytest
from running import ROOT

from eagerbench.cpp import build, process
from eagerbench.cpp.process import RunnerProcess, write_config
from eagerbench.errors import Crashed, Refused
from eagerbench.machine import elsewhere, readings
from eagerbench.measuring.timing import time_against
from eagerbench.measuring.turns import seconds_of

SOURCES = ROOT / "runners" / "cpp"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")  # what is wrong with the memory ends it
ARRAYS = {
    "float": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), "double": np.array([np.nan, np.inf, -0.0]),
    "half": np.ones((1, 2, 2), np.float16), "long": np.array([[-2**63, 2**63 - 1]]), "int": np.zeros(1, np.int32),
    "short": np.arange(3, dtype=np.int16), "signed": np.array([-1], np.int8), "byte": np.arange(256, dtype=np.uint8),
    "bool": np.array([True, False]), "scalar": np.array(3.5, np.float32), "empty": np.zeros((0, 4), np.float32),
    "large": np.arange(300_000), "a.name-with.marks": np.ones(2, np.float32),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    compiler = build.compiler()
    if compiler is None:
        pytest.skip("no C++ compiler: install g++")
    program = tmp_path_factory.mktemp("echo") / "runner"
    command = ["nice", compiler, "-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", "-I", SOURCES,
               ROOT / "correctness_tests" / "cpp" / "echo.cpp", "-o", program]
    if subprocess.run([*command, *SANITIZERS], check=False, capture_output=True).returncode:  # no library of theirs
        subprocess.run(command, check=True)
    return program


@pytest.fixture
def echo(program):
    runner = RunnerProcess("echo-cpp", program, {"artifact": program, "threads": 7})
    yield runner
    runner.close()


def header(rest: str) -> bytes:
    return b"\x93NUMPY\x01\x00\x60\x00" + f"{{'descr': {rest}, }}".ljust(96).encode()


def returned(runner: RunnerProcess, arrays: dict) -> dict:
    runner.call(runner.prepare(arrays).number)
    return runner.outputs()


def test_arrays_come_back_as_they_were_sent(echo):
    found = returned(echo, ARRAYS)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].tobytes() == array.tobytes(), name


def test_an_array_in_another_order_in_memory_is_the_same_array(echo):
    array = np.arange(6).reshape(2, 3).T
    assert (returned(echo, {"a": array})["a"] == array).all()


def test_several_inputs_are_held_until_they_are_gone(echo):
    first, second = echo.prepare({"a": np.zeros(1)}), echo.prepare({"a": np.ones(1)})
    echo.call(first.number)
    assert echo.outputs()["a"] == 0
    echo.call(second.number)
    assert echo.outputs()["a"] == 1
    number = first.number
    del first
    gc.collect()
    echo.prepare({})
    with pytest.raises(Refused, match="being called"):
        echo.call(number)


def test_what_it_says_when_it_is_ready_and_its_facts(echo):
    assert (echo.said["version"], echo.said["threads"]) == ("1.2.3+local", "7")
    assert int(echo.said["load_ns"]) >= 0
    assert echo.facts() == [{"a": "1", "b": "two words"}, {"c": ""}]


def test_what_libraries_print_is_no_answer(echo):
    assert "print" in returned(echo, {"print": np.zeros(1)})
    assert "took 1\nready" in echo.printed()


def test_an_error_is_one_line_and_it_goes_on(echo):
    with pytest.raises(Refused, match=r"reports, being called: two lines$"):
        returned(echo, {"fail": np.zeros(1)})
    with pytest.raises(Refused, match="unknown type '<c8'"):
        echo.prepare({"complex": np.zeros(1, np.complex64)})
    assert returned(echo, {"a": np.ones(1)})["a"] == 1


@pytest.mark.parametrize(("content", "says"), [
    (b"", "no .npy file"), (b"\x93NUMPY\x01\x00\xff\xff{}", "cut short"), (b"\x93NUMPY\x02\x00\x01", "no .npy file"),
    (b"\x93NUMPY\x01\x00\x02\x00{}", "no descr"),
    (header("'<f4', 'fortran_order': True, 'shape': (1,)") + bytes(4), "Fortran"),
    (header("'<f4', 'fortran_order': False, 'shape': (2,)") + bytes(4), "another size"),
    (header("'<f4', 'fortran_order': False, 'shape': (99999999999999999999, 2)") + bytes(4), "larger than its data"),
    (header("'|O', 'fortran_order': False, 'shape': ()"), "unknown type"),
])
def test_what_is_no_array_is_refused(echo, content, says):
    echo._send(f"prepare 1 1\na {len(content)}\n".encode() + content)
    with pytest.raises(Refused, match=says):
        echo._answer("being given its inputs")
    assert returned(echo, {"a": np.ones(1)})["a"] == 1


def test_nothing_is_lost_and_nothing_is_printed(echo):
    """The sanitizers would say so when it ends."""
    returned(echo, ARRAYS)
    echo.facts()
    assert echo.printed() == ""
    assert echo._process.returncode == 0


def test_its_death_says_how(echo):
    with pytest.raises(Crashed, match="crashed: SIGABRT in echo-cpp while being called, in its runner in C"):
        returned(echo, {"die": np.zeros(1)})
    with pytest.raises(Crashed, match="SIGABRT"):
        echo.prepare({})


def test_it_ends_with_its_owner_and_leaves_nothing(program):
    runner = RunnerProcess("echo-cpp", program, {"artifact": program})
    pid, directory = runner.pid, Path(runner._directory)
    assert directory.exists()
    assert pid in readings._parts
    del runner
    gc.collect()
    assert not directory.exists()
    assert pid not in readings._parts
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_artifact_that_is_not_there_is_said(program, tmp_path):
    with pytest.raises(Refused, match=r"loading its artifact: .*nothing: no such file"):
        RunnerProcess("echo-cpp", program, {"artifact": tmp_path / "nothing"})


def test_a_call_is_timed_by_the_runner(echo, monkeypatch):
    """Of the wall clock's second, the pipe's part is spent elsewhere, and no round has it."""
    prepared, ticks = echo.prepare({"a": np.zeros(1)}), iter([10.0, 11.0])
    monkeypatch.setattr(process, "time", type("clock", (), {"perf_counter": lambda: next(ticks)}))
    before = elsewhere.spent_s()
    echo.call(prepared.number)
    assert 0.5 < elsewhere.spent_s() - before < 1


def test_rounds_and_first_call_are_without_what_is_spent_elsewhere(monkeypatch):
    clock = fake_timing.install(monkeypatch)

    def over_a_pipe():
        clock.now += 5
        elsewhere.add(4)

    benchmark = fake_timing.benchmark(clock)
    timing = time_against(benchmark, over_a_pipe, clock.taking(3), 30)
    assert timing.rounds == pytest.approx([1] * len(timing.rounds))
    assert timing.turns.reference_rounds == pytest.approx([3] * len(timing.turns.reference_rounds))
    assert (timing.first_call_s, timing.warm_up.call_s) == pytest.approx((1, 1))
    assert seconds_of(clock.taking(2)) == 2


def test_its_threads_and_time_count_as_this_process_s(monkeypatch, tmp_path):
    for pid, ran, waited, state in (("self", 9, 1_000_000_000, "S"), ("77", 2_000_000_000, 500_000_000, "R")):
        (tmp_path / f"{pid}/task/{pid}").mkdir(parents=True)
        (tmp_path / f"{pid}/task/{pid}/schedstat").write_text(f"{ran} {waited} 3\n")
        (tmp_path / f"{pid}/task/{pid}/stat").write_text(f"1 (a name) {state} 1\n")
    counters = readings.Counters(tmp_path, [0], [])
    alone = counters.read()
    assert (alone.waited_s, readings.other_threads_running(tmp_path)) == (1.0, 0)
    monkeypatch.setattr(readings, "_parts", {77})
    both = counters.read()
    assert (both.waited_s, readings.other_threads_running(tmp_path)) == (1.5, 1)
    assert both.own_s - alone.own_s >= 2


@pytest.fixture
def checked(program, tmp_path):
    """`checked(**runner.txt)`: exit code and line of `--check` on a directory with inputs and what they must give."""
    for name, value in (("inputs", 1.0), ("expected", 1.0)):
        (tmp_path / "check" / name).mkdir(parents=True)
        np.save(tmp_path / "check" / name / "a.npy", np.full((2, 2), value, np.float32))
    (tmp_path / "model").write_text("")

    def run(**values) -> tuple[int, str]:
        write_config(tmp_path, {"runtime": "echo", "version": "1.2.3", "artifact": "model", "inputs": ["a"],
                                "outputs": ["a"], "rtol": 1e-3, "atol": 0.01, **values})
        done = subprocess.run([program, tmp_path, "--check"], capture_output=True, text=True, check=False)
        assert done.stdout.count("\n") == 1
        return done.returncode, done.stdout

    return run


def test_check_of_right_outputs(checked, tmp_path):
    assert checked() == (0, "right: 1 outputs by echo 1.2.3+local, largest error 0 (rtol 0.001, atol 0.01)\n")
    np.save(tmp_path / "check" / "expected" / "a.npy", np.full((2, 2), 1.01, np.float32))
    assert checked()[0] == 0


@pytest.mark.parametrize("expected", [np.full((2, 2), 1.02, np.float32), np.full((2, 2), np.nan, np.float32),
                                      np.ones((2, 1), np.float32), np.ones((2, 3), np.float32)])
def test_check_of_wrong_outputs(checked, tmp_path, expected):
    np.save(tmp_path / "check" / "expected" / "a.npy", expected)
    code, line = checked()
    assert code == 1
    assert line.startswith("wrong: a: ")


def test_check_of_what_is_not_here(checked, tmp_path):
    assert checked(version="1.2.4") == (3, "not here: echo 1.2.3+local is loaded here, 1.2.4 is what it was measured "
                                           "with\n")
    assert checked(runtime="other") == (3, "not here: this runner is for echo, runner.txt for other\n")
    assert checked(artifact="gone")[0] == 3
    shutil.rmtree(tmp_path / "check" / "expected")
    assert checked()[0] == 3


def test_wrong_usage(program, tmp_path):
    assert subprocess.run([program], capture_output=True, check=False).returncode == 2
    assert subprocess.run([program, tmp_path, "--what"], capture_output=True, check=False).returncode == 2
    assert subprocess.run([program, tmp_path], capture_output=True, check=False).returncode == 3


def test_a_config_is_lines(tmp_path):
    file = write_config(tmp_path, {"artifact": Path("/a b"), "inputs": ["x", "y"], "rtol": 1e-5})
    assert file.read_text() == "artifact=/a b\ninputs=x,y\nrtol=1e-05\n"
    for value in ("two\nlines", ["a,b"]):
        with pytest.raises(ValueError, match="cannot be a line of"):
            write_config(tmp_path, {"key": value})


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    assert build.missing("openvino") == "not installed: openvino"
    monkeypatch.undo()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert build.missing("torchscript").startswith(("no C++ compiler", "no cmake"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.missing("torchscript").startswith("no cmake")
    monkeypatch.undo()
    monkeypatch.setenv("ONNXRUNTIME_INCLUDE_DIR", str(tmp_path))
    assert build.headers() is None
    (tmp_path / "onnxruntime_cxx_api.h").write_text("")
    assert build.headers() == tmp_path


def test_no_source_is_long():
    long = {file.name for file in SOURCES.rglob("*.*") if len(file.read_text().splitlines()) > 200}
    assert long == set()
    for name in build.RUNTIMES:
        assert all(file.exists() for file in build.files(name))
