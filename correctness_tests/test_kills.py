"""SIGKILL at ten random instants, of the measuring process and of its supervisor: what was finished is in the file, bit
for bit, and nothing is left. `test_crashes.py` has fifty more, of sessions with a model."""

import contextlib
import json
import random
import subprocess
import time

import fake_supervised
import plain_suite
import psutil
import pytest
from fake_session import TESTS

from eagerbench.isolation import journal, supervisor

pytestmark = pytest.mark.skipif(not supervisor.POSSIBLE, reason="sessions are supervised on Linux only")
DOZES = dict.fromkeys(TESTS, "doze")


def finished(file):
    with contextlib.suppress(journal.UnreadableFile):
        return dict(journal.read(file).finished)
    return {}


def kill(process, whom):
    """One of the two, where it is still there."""
    if whom == "supervisor":
        process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children() if whom == "measuring" else ():
            child.kill()


@pytest.mark.parametrize("whom", ["measuring", "supervisor"])
@pytest.mark.parametrize("number", [0, 1, *(pytest.param(number, marks=pytest.mark.slow) for number in (2, 3))])
def test_of_a_session_without_pytest(number, whom, tmp_path):
    """Its four tests doze for 0.15 s each."""
    with fake_supervised.supervised(tmp_path, **DOZES) as process:
        time.sleep(random.Random(f"{whom} {number}").uniform(0.0, 1.2))
        before = finished(tmp_path / fake_supervised.NAME)
        kill(process, whom)
        process.communicate(timeout=60)
    if (tmp_path / fake_supervised.NAME).exists() or not (tmp_path / "saved.json").exists():
        code, out, _, _ = fake_supervised.ran(tmp_path, **DOZES)
        assert code == 0, out
    after, _ = fake_supervised.saved(tmp_path)
    assert sorted(after) == list(TESTS)
    assert {name: after[name] for name in before} == before
    assert sum("crashed" in line for line in after.values()) <= (whom == "measuring")
    assert [path.name for path in tmp_path.iterdir()] == ["saved.json"]


@pytest.mark.parametrize("whom", [pytest.param("measuring", marks=pytest.mark.slow), "supervisor"])
def test_of_a_real_session(whom, tmp_path):
    """In one of its four tests, which doze for 0.3 s each."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    mark = {"EAGERBENCH_TEST_MARK": str(tmp_path)}
    faults = {**{f"FAULT{number}": "doze" for number in range(4)}, **mark, "TMPDIR": str(scratch)}
    with subprocess.Popen(plain_suite.command(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, env=plain_suite.environment(**faults)) as process:
        deadline = time.monotonic() + 60
        while not any(b'"began"' in file.read_bytes() for file in plain_suite.left(tmp_path)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(random.Random(whom).uniform(0.0, 1.0))
        before = {name: line for file in plain_suite.left(tmp_path) for name, line in finished(file).items()}
        kill(process, whom)
        out = process.communicate(timeout=120)[0]
    while left := list(fake_supervised.marked(mark)):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)
    content = json.loads((tmp_path / "run.json").read_text()) if (tmp_path / "run.json").exists() else {}
    if whom == "supervisor" and not content:
        ended, content = plain_suite.ran(tmp_path, "--resume", **faults)
        assert ended.code == 0, ended.out
    saved = {bench["fullname"]: bench for bench in content["benchmarks"]}
    lost = set(plain_suite.NAMES) - set(saved)
    assert len(lost) <= (whom == "measuring"), out
    assert ("crashed: SIGKILL in test_plain[" in out) == bool(lost)
    for name, line in before.items():
        assert json.dumps(saved[name]) == json.dumps(line["benchmark"])
    assert plain_suite.left(tmp_path) == []
    assert list(scratch.iterdir()) == []
