"""Faults in real sessions: a backend that ends its process costs its own case, and every other case is in the file."""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time

import faulty_backend
import psutil
import pytest
from plain_model import MODEL, NAME
from running import ROOT, WITHOUT_PLUGINS, Ended, own_environment

from eagerbench.isolation import journal, supervisor
from eagerbench.results import records

pytestmark = pytest.mark.skipif(not supervisor.POSSIBLE, reason="sessions are supervised on Linux only")
SELECTION = ("perf_tests/test_latency.py", "--benchmark-only", f"--model={MODEL}", "--batch-sizes=1",
             "--time-budget=0.1", "--peaks=here", "--threads=1")
VARIANTS, LENGTHS = ("eager", "faulty", "torchscript-freeze"), (8, faulty_backend.LENGTH)


def case(variant, length):
    return f"{NAME}/{variant}/b1/s{length}/cpu"


CASES = [case(variant, length) for variant in VARIANTS for length in LENGTHS]


def environment(directory, fault):
    own = own_environment()
    paths = [str(ROOT / "correctness_tests"), *filter(None, [own.get("PYTHONPATH")])]
    scratch = directory / "tmp"
    scratch.mkdir(exist_ok=True)
    return {**own, "PYTHONPATH": os.pathsep.join(paths), "FAULT": fault, "TMPDIR": str(scratch),
            "KEEP_JOURNAL": str(directory / "before.jsonl"), "EAGERBENCH_TEST_MARK": str(directory)}


def command(directory, *more, variants=VARIANTS, lengths=LENGTHS):
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *WITHOUT_PLUGINS, "-p", "faulty_plugin",
            *SELECTION, *(f"--variant={name}" for name in variants),
            f"--sequence-lengths={','.join(map(str, lengths))}", "--artifacts",
            str(directory / "artifacts"), "--benchmark-json", str(directory / "run.json"), *more]


def ran(directory, fault, *more, **selected):
    """How a session with a fault ended, and what it saved; nothing of it is left."""
    done = subprocess.run(command(directory, *more, **selected), cwd=ROOT, capture_output=True, timeout=1200,
                          check=False, env=environment(directory, fault))
    assert_nothing_left(directory)
    file = directory / "run.json"
    ended = Ended(done.returncode, *(text.decode("utf-8", "replace") for text in (done.stdout, done.stderr)))
    return ended, json.loads(file.read_text()) if file.exists() else {}


def marked(directory):
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("EAGERBENCH_TEST_MARK") == str(directory):
                yield process


def assert_nothing_left(directory):
    assert [process.cmdline() for process in marked(directory)] == []
    assert [path.name for path in (directory / "tmp").iterdir()] == []


def assert_costs(content, lost, cases=tuple(CASES)):
    """Every case but `lost` was timed; the file is whole, and in the order of the plan."""
    cells = {cell["bench_id"]: cell for cell in content["eagerbench"]["cells"] if cell["bench_id"] in cases}
    assert list(cells) == list(cases)
    assert [name for name in cases if cells[name]["status"] != "timed"] == list(lost)
    saved = {bench["extra_info"]["identity"]["bench_id"]: bench for bench in content["benchmarks"]}
    assert list(saved) == [name for name in cases if name not in lost]
    assert records.problems(content) == []
    return cells, saved


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """A session whose faulty variant segfaults in a timed call of its second case."""
    directory = tmp_path_factory.mktemp("crashed")
    ended, content = ran(directory, "timed-call:segfault")
    return directory, ended, content


def test_a_crash_is_a_cell(crashed):
    directory, ended, content = crashed
    assert ended.code == 1, ended.out
    cells, saved = assert_costs(content, [CASES[3]])
    cell = cells[CASES[3]]
    assert cell["status"] == "failed"
    assert cell["reason"] == "crashed: SIGSEGV in faulty while timing"
    assert any("faulty_backend.py" in line for line in cell["crash"]["stack"])
    before = journal.read(directory / "before.jsonl")
    assert len(before.finished) == 3
    for line in before.finished.values():
        name = line["benchmark"]["extra_info"]["identity"]["bench_id"]
        assert json.dumps(saved[name]) == json.dumps(line["benchmark"])
    assert [part["finished"] for part in content["eagerbench"]["parts"]] == [3, 2]
    assert not list((directory / "artifacts" / "interrupted").iterdir())


def test_the_user_sees_one_session(crashed):
    _, ended, _ = crashed
    assert ended.out.count("test session starts") == 1
    assert "eagerbench: crashed: SIGSEGV in faulty while timing; continuing after it\n" in ended.out
    numbers = re.findall(r"^\[(\d)/6\] (\S+)", ended.out, re.MULTILINE)
    assert numbers == [(str(number), name.split("/")[1]) for number, name in enumerate(CASES, 1)]
    assert re.search(r"^\[4/6\] faulty · 1×16 +crashed: SIGSEGV in faulty while timing", ended.out, re.MULTILINE)
    assert re.search(r"=+ 1 failed, 5 passed in ", ended.out)
    screen = ended.out[ended.out.index("  variant"):]  # of the first part too
    assert all(name in screen for name in ("eager", "faulty", "torchscript-freeze"))


PLACES = {"build": ("building", CASES[2:4]), "load": ("building", CASES[2:4]), "first-call": ("first call", CASES[3:4]),
          "timed-call": ("timing", CASES[3:4]), "probe": ("probing", CASES[3:4])}
KINDS = {"segfault": "SIGSEGV", "abort": "SIGABRT", "terminate": "SIGABRT", "exit": "exit code 3", "kill": "SIGKILL",
         "garbage": "SIGABRT", "children": "exit code 5", "unheeded": "no end after 60 s"}
HANG = ("--case-timeout", "60")  # longer than torch takes to be imported on a busy machine
EACH = {"variants": ("eager", *(f"faulty-{kind}" for kind in faulty_backend.KINDS if kind in KINDS),  # as planned
                     "torchscript-freeze"), "lengths": (faulty_backend.LENGTH,)}


@pytest.fixture(scope="module", params=PLACES)
def every_kind(request, tmp_path_factory):
    """A session with a variant for every kind of fault, all at one place: nine parts."""
    directory = tmp_path_factory.mktemp(request.param)
    return directory, request.param, *ran(directory, f"{request.param}:each", *HANG, **EACH)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_at_every_place(every_kind, kind):
    _, place, ended, content = every_kind
    name = case(f"faulty-{kind}", faulty_backend.LENGTH)
    (cell,) = (cell for cell in content["eagerbench"]["cells"] if cell["bench_id"] == name)
    assert cell["status"] == "failed"
    assert cell["reason"] == f"crashed: {KINDS[kind]} in faulty-{kind} while {PLACES[place][0]}"
    assert f"eagerbench: {cell['reason']}; continuing after it\n" in ended.out
    if kind in ("garbage", "terminate"):
        said = cell["crash"]["stderr"][-1]
        assert "garbage" in said or "std::runtime_error" in said
        assert said.isprintable()


@pytest.mark.slow
def test_every_fault_costs_its_own_case(every_kind):
    directory, _, ended, content = every_kind
    assert ended.code == 1, ended.out
    cases = [case(variant, faulty_backend.LENGTH) for variant in EACH["variants"]]
    assert_costs(content, cases[1:-1], cases)
    assert [part["finished"] for part in content["eagerbench"]["parts"]] == [1, *([0] * (len(KINDS) - 1)), 1]
    again, content = ran(directory, "", **EACH)
    assert again.code == 0, again.out
    assert_costs(content, [], cases)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["build", "load"])
def test_a_crash_while_building_costs_every_length(place, tmp_path):
    ended, content = ran(tmp_path, f"{place}:segfault")
    assert ended.code == 1, ended.out
    phase, lost = PLACES[place]
    cells, _ = assert_costs(content, lost)
    assert {cells[name]["reason"] for name in lost} == {f"crashed: SIGSEGV in faulty while {phase}"}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_spin_in_python_ends_with_its_stack(place, tmp_path):
    ended, content = ran(tmp_path, f"{place}:spin", *HANG)
    assert ended.code == 1
    cells, _ = assert_costs(content, PLACES[place][1])
    assert any("faulty_backend.py" in line for line in cells[PLACES[place][1][0]]["crash"]["stack"])


@pytest.mark.slow
@pytest.mark.parametrize("place", ["first-call", "timed-call", "probe"])
def test_an_address_space_that_is_too_small_fails_the_case(place, tmp_path):
    ended, content = ran(tmp_path, f"{place}:address-space")
    assert ended.code == 1, ended.out
    cells, _ = assert_costs(content, CASES[3:4])
    assert "memory" in cells[CASES[3]]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["build", "timed-call"])
def test_larger_shapes_are_skipped_after_the_kernel_killed(place, tmp_path):
    if not faulty_backend.can_group():
        pytest.skip("no control group can be made here")
    try:
        ended, content = ran(tmp_path, f"{place}:group", lengths=(8, faulty_backend.LENGTH, 32))
    finally:
        faulty_backend.remove_groups()
    assert ended.code == 1, ended.out
    cells = [(cell["status"], cell["reason"]) for cell in content["eagerbench"]["cells"] if cell["variant"] == "faulty"
             and cell["experiment"] == "latency"]
    phase = PLACES[place][0]
    killed = ("failed", f"crashed: out of memory (SIGKILL) in faulty while {phase}")
    larger = "skipped", "larger than {}, for which there was not enough memory"
    assert cells == ([killed, (larger[0], larger[1].format("1×8")), (larger[0], larger[1].format("1×8"))]
                     if place == "build" else [("timed", ""), killed, (larger[0], larger[1].format("1×16"))])


KILLS = 5  # of one session, a part each


def journals(directory):
    return [file for file in sorted((directory / "artifacts" / "interrupted").glob("*.jsonl")) if file.stat().st_size]


def finished(directory):
    """The lines of finished tests in the newest journal, by test."""
    return journal.read(journals(directory)[-1]).finished if journals(directory) else {}


def lines(directory):
    with contextlib.suppress(FileNotFoundError):  # it goes at the end of the session
        return sum(file.read_bytes().count(b"\n") for file in journals(directory))
    return 0


def at_a_moment(process, directory, chance):
    """Up to 16 lines of the journal later, or soon after the start of a process; or the session has ended."""
    more = chance.randint(0, 16)
    until, deadline = lines(directory) + more, time.monotonic() + 300
    while lines(directory) < until and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.2 if more else 3))


def assert_kept(before, now):
    """What was finished is there still, bit for bit."""
    assert {test: line for test, line in now.items() if test in before} == before


def assert_saved(directory, before, lost=()):
    _, saved = assert_costs(json.loads((directory / "run.json").read_text()), lost)
    for line in before.values():
        if (bench := line.get("benchmark")) is not None:
            assert json.dumps(saved[bench["extra_info"]["identity"]["bench_id"]]) == json.dumps(bench)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_the_supervisor_killed_again_and_again(number, tmp_path):
    """At any instant the session ends with it; `--resume` goes on where one was begun, and nothing finished is lost."""
    chance, before = random.Random(number), {}
    for _ in range(KILLS):
        resumed = ["--resume"] if journals(tmp_path) else []
        with subprocess.Popen(command(tmp_path, *resumed), cwd=ROOT, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=environment(tmp_path, "")) as process:
            at_a_moment(process, tmp_path, chance)
            process.kill()
        assert psutil.wait_procs(list(marked(tmp_path)), timeout=60)[1] == []
        if (tmp_path / "run.json").exists():
            break
        assert_kept(before, now := finished(tmp_path))
        before = now
    if not (tmp_path / "run.json").exists():
        ended, _ = ran(tmp_path, "", *(["--resume"] if journals(tmp_path) else []))
        assert ended.code == 0, ended.out
    assert_saved(tmp_path, before)
    assert journals(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_the_measuring_process_killed_again_and_again(number, tmp_path):
    """At any instant the session goes on without the case that it was in; before any case it ends, and is resumed."""
    chance, before, killed = random.Random(number), {}, 0
    with subprocess.Popen(command(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=environment(tmp_path, "")) as process:
        for _ in range(KILLS):
            at_a_moment(process, tmp_path, chance)
            children = psutil.Process(process.pid).children() if process.poll() is None else []
            now = finished(tmp_path) if children else before
            for child in children:
                child.kill()
            psutil.wait_procs(children, timeout=60)
            assert_kept(before, now)
            before, killed = now, killed + bool(children)
        out = process.communicate(timeout=600)[0]
    assert killed, out
    assert_nothing_left(tmp_path)
    if not (tmp_path / "run.json").exists():
        assert "before any test began" in out
        ended, _ = ran(tmp_path, "", *(["--resume"] if journals(tmp_path) else []))
        assert ended.code in (0, 1), ended.out
    cells = json.loads((tmp_path / "run.json").read_text())["eagerbench"]["cells"]
    lost = [cell["bench_id"] for cell in cells if cell["bench_id"] in CASES and cell["status"] != "timed"]
    assert len(lost) <= killed
    assert_saved(tmp_path, before, lost)
