"""Variants called from C++: their outputs, what they are told apart by, and the record of what Python costs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from running import run_pytest
from selections import planned

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.backends.cpp_runner import CppRunner
from eagerbench.cpp import build
from eagerbench.cpp.process import write_config
from eagerbench.results import decode

QUICK = "openvino-cpp"
SLOW = ("openvino-int8-cpp", "torchscript-freeze-cpp", "aot-inductor-cpp", "onnxruntime-cpp", "onnxruntime-int8-cpp")
EVERY = [QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.fixture
def both(workshops):
    """`both(name)`: what was built of the tiny model, and the Python variant's runner of the same artifact."""
    def made(name: str):
        skip_unavailable(name)
        workshop = workshops("tiny-bert")
        built = workshop.built(name)
        return built, built.backend.python_runner(built.variant, built.directory, workshop.placement)

    return made


@pytest.mark.parametrize("name", EVERY)
def test_outputs_are_those_of_the_python_variant_and_right(both, workshops, name):
    built, in_python = both(name)
    workshop = workshops("tiny-bert")
    assert isinstance(built.runner, CppRunner)
    assert built.runner.threads == workshop.placement.threads
    for shape in ((3, 11), (1, 16), (4, 7)):
        inputs = workshop.inputs(*shape)
        assert not workshop.compared(name, inputs).failures
        here = in_python.arrays(in_python(in_python.prepare(inputs)))
        there = workshop.run(name, inputs)
        assert list(there) == list(here)
        for output, array in here.items():
            assert there[output] == pytest.approx(array, rel=1e-6, abs=1e-6), output


@pytest.mark.parametrize("name", EVERY)
def test_the_artifact_is_that_of_the_python_variant(both, workshops, name):
    built, _ = both(name)
    assert built.directory == workshops("tiny-bert").built(name.removesuffix("-cpp")).directory


@pytest.mark.parametrize("name", EVERY)
def test_the_probe_sees_c_plus_plus_and_the_optimisation(both, workshops, name):
    built, in_python = both(name)
    inputs = workshops("tiny-bert").inputs(1, 16)
    built.runner(built.runner.prepare(inputs))
    found = built.backend.probe(built.variant, built.runner, inputs)
    assert found.engaged, found.summary
    assert found.facts["python_in_process"] is False
    assert found.summary.startswith(f"in C++ on {built.backend.runtime} {built.runner.version}; ")
    in_python(in_python.prepare(inputs))
    found = built.backend.probe(built.variant, in_python, inputs)
    assert (found.engaged, found.summary) == (False, f"a {type(in_python).__name__} in Python")


def test_the_probe_misses_what_is_not_in_the_artifact(both, workshops):
    """The float32 file is not int8, whoever calls it."""
    built, _ = both(QUICK)
    variant = backends.variants()["openvino-int8-cpp"][0]
    assert not built.backend.probe(variant, built.runner, workshops("tiny-bert").inputs(1, 16)).engaged


def test_it_asks_for_precision_and_threads(both, workshops):
    built, _ = both(QUICK)
    workshop = workshops("tiny-bert")
    assert built.runner.precision == "f32"
    runner = built.backend.load(built.variant, built.directory, workshop.placement)
    assert runner.load_s > 0
    assert any(path.name.startswith("libopenvino.so") for path in runner.libraries)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_what_python_costs_is_recorded(name, tmp_path, selection):
    skip_unavailable(name)
    file = tmp_path / "run.json"
    ended = run_pytest("perf_tests/test_python.py", "--benchmark-only", "--model", "tiny-bert", "--variant", name,
                       "--grid", "smoke", "--threads", "1", "--time-budget", "0.3", "--peaks", "here",
                       "--artifacts", str(selection.artifacts), "--benchmark-json", str(file), "--benchmark-save-data")
    assert ended.code == 0, ended.out + ended.err
    (saved,) = json.loads(file.read_text())["benchmarks"]
    record = decode.decode(saved["extra_info"])
    assert record.identity.bench_id == f"tiny-bert/{name}/python/b1/s16/cpu"
    found = record.result
    assert found.python_variant == name.removesuffix("-cpp")
    assert found.python_cost_low <= found.python_cost <= found.python_cost_high
    assert min(found.cpp_load_s, found.python_load_s, found.python_first_call_s, record.costs.first_call_s) > 0
    assert "Python costs " in ended.out


def test_it_runs_where_it_is_named_only(monkeypatch):
    monkeypatch.setattr(build, "missing", lambda runtime: None)
    given = {"model": "tiny-bert", "grid": "smoke"}
    of_cpp = [case for case in planned(**given) if case.variant.name.endswith("-cpp")]
    assert of_cpp
    assert all(case.reason and case.experiment != "python" for case in of_cpp)
    named = {case.bench_id: case.reason for case in planned(**given, variant=[QUICK, "sdpa"])}
    assert named[f"tiny-bert/{QUICK}/b1/s16/cpu"] is named[f"tiny-bert/{QUICK}/python/b1/s16/cpu"] is None
    assert named["tiny-bert/sdpa/python/b1/s16/cpu"].startswith("is not called from C++")
    of_instances = [reason for bench_id, reason in named.items() if bench_id.startswith(f"tiny-bert/{QUICK}/threads/")]
    assert all("one core" in reason or reason.startswith("its calls go over a pipe") for reason in of_instances)


def test_its_file_without_a_variant_is_one_line():
    ended = run_pytest("perf_tests/test_python.py", "--benchmark-only", "--model", "tiny-bert")
    assert ended.code == 4
    assert "test_python.py: no case with these options; name variants that are called from C++" in ended.err


@pytest.fixture
def package(workshops, tmp_path):
    """`package(name)`: a directory as `eagerbench package` makes it: artifact, runner.txt, check and the sources."""
    def made(name: str) -> Path:
        skip_unavailable(name)
        workshop = workshops("tiny-bert")
        built, inputs = workshop.built(name), workshop.inputs(2, 9)
        outputs = workshop.run(name, inputs)
        for place, arrays in (("inputs", inputs), ("expected", outputs)):
            (tmp_path / "check" / place).mkdir(parents=True)
            for array_name, array in arrays.items():
                np.save(tmp_path / "check" / place / f"{array_name}.npy", array)
        runtime = built.backend.runtime
        artifact = next(file.name for file in built.directory.iterdir()
                        if file.suffix in (".xml", ".pt", ".pt2", ".onnx"))
        shutil.copytree(built.directory, tmp_path / "artifact")
        write_config(tmp_path, {"runtime": runtime, "version": built.runner.version, "artifact": f"artifact/{artifact}",
                                "threads": 1, "allocator": "pinned", "inputs": list(inputs), "outputs": list(outputs),
                                "rtol": 1e-5, "atol": 1e-5})
        (tmp_path / "cpp").mkdir()
        for file in [*build.files(runtime), build.sources() / "package" / "CMakeLists.txt"]:
            shutil.copy(file, tmp_path / "cpp")
        return tmp_path

    return made


def checked(program: Path, directory: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run([program, directory, "--check"], capture_output=True, text=True, check=False,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", [QUICK, *SLOW])
def test_a_package_s_sources_build_alone_and_check_it(package, name):
    directory = package(name)
    runtime = backends.variants()[name][1].runtime
    options = build.options(runtime, directory / "build")
    for command in (["cmake", "-S", "cpp", "-B", "build", *options], ["cmake", "--build", "build"]):
        subprocess.run(["nice", *command], cwd=directory, check=True, capture_output=True)
    program = directory / "build" / "runner"
    code, said = checked(program, directory)
    assert code == 0, said
    assert said.startswith("right: ")
    first = next((directory / "check" / "expected").iterdir())
    np.save(first, np.load(first) + 1)
    assert checked(program, directory)[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [QUICK, *SLOW])
def test_address_sanitizer_finds_nothing(package, name):
    directory = package(name)
    program = build.runner(backends.variants()[name][1].runtime, asan=True)
    code, said = checked(program, directory, ASAN_OPTIONS="detect_leaks=1")
    assert code == 0, said
    assert "AddressSanitizer" not in said


