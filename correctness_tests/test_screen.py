"""What a session shows, on a terminal and in a pipe."""

import json
import re
import subprocess
import sys

import pytest
from plain_model import MODEL
from running import ROOT, WITHOUT_PLUGINS, own_environment, run_pytest

from eagerbench.results import records


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a Unix thing")
@pytest.mark.parametrize("ci", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_progress_line_on_a_terminal_only_outside_ci(ci):
    import os
    import pty

    environment = {name: value for name, value in own_environment().items() if name != "CI"}
    environment |= {"CI": "true"} if ci else {}
    command = [sys.executable, "-m", "pytest", "perf_tests/test_latency.py", "--benchmark-only", "--model", MODEL,
               "--variant", "eager", "--batch-sizes", "1,2", "--sequence-lengths", "8", "--time-budget", "0.1",
               "--peaks", "here", *WITHOUT_PLUGINS]
    master, slave = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, stdout=slave, stderr=slave, env=environment, close_fds=True) as process:
        os.close(slave)
        shown = b""
        while chunk := _read(master):
            shown += chunk
    assert process.returncode == 0
    assert (b"case 2 of 2, " in shown) is not ci
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n").split("\n")
    ends = [line.rpartition("\r")[2] for line in lines]
    case = re.compile(r"\[[12]/2\] eager · [12]×8 +\d+\.?\d* ms +\d\.\d\d× \[")
    assert sum(bool(case.match(line)) for line in ends) == 2, ends
    start = next(place for place, line in enumerate(ends) if line.startswith("  variant"))
    assert all(len(line) <= 80 for line in ends[start:-1])
    assert len(ends[start:-2]) <= 30
    assert "2 passed in" in ends[-2]


def test_piped_a_session_ends_with_its_answer(ran_quietly):
    """Without `-v`: a line a case, then the screen, then pytest's own last line; nothing is skipped one by one."""
    ended, directory = ran_quietly
    lines = ended.out.splitlines()
    assert re.fullmatch(r"=+ 2 passed in .+ =+", lines[-1])
    cases = [line for line in lines if re.match(r"\[\d/2\] ", line)]
    assert [case.split(" · ")[0] for case in cases] == ["[1/2] eager", "[2/2] sdpa"]
    assert any(re.match(r"eagerbench: tiny-bert · 2 cases · about \d+ minute", line) for line in lines)
    assert "not run (variants): need cuda (2) · not installed (1): make env-ipex\n" in ended.out
    assert "not everywhere: tiny-bert accepts at most 512 tokens (2)\n" in ended.out
    assert "skipped" not in ended.out
    assert "Name (time in" not in ended.out  # pytest-benchmark's table
    assert "every variant on every model" not in ended.out
    page = next(directory.glob("*/0001_*.html"))
    assert f"report {page}" in " ".join(lines)
    assert "<h1>Which one to take: tiny-bert</h1>" in page.read_text()
    assert max(map(len, lines[lines.index(cases[-1]):])) <= 100 + len(str(directory)) + 40  # the path is whole
    assert "\x1b[" not in ended.out
    for allowed in ("exact math", "16 bits", "8 bits"):
        assert any(re.match(rf"take, {allowed}: (eager, nothing is provably faster \(= sdpa\)|sdpa \d|eager,)", line)
                   for line in lines), allowed
    pointer = lines[lines.index(next(line for line in lines if line.startswith("within your own limits: "))):]
    assert " recommend " in " ".join(pointer)


@pytest.mark.slow
def test_latest_is_always_the_last_run(ran_quietly):
    """A link that `compare` and `merge` of the directory do not take for a run of its own."""
    ended, directory = ran_quietly
    latest = directory / "latest.json"
    saved = next(directory.glob("*/0001_*.json"))
    assert latest.resolve() == saved
    assert records.expand([directory]) == [saved]
    assert f"also as {latest}" in ended.out
    content = json.loads(latest.read_text())
    assert {cell["status"] for cell in content["eagerbench"]["cells"]} == {"timed", "skipped"}
    file = directory.parent / "own.json"
    again = run_pytest(*QUIET, "--benchmark-storage", str(directory), "--benchmark-json", str(file), "-k", "eager")
    assert latest.resolve() == file, again.out
    unsaved = run_pytest(*QUIET, "--benchmark-storage", str(directory), "-k", "eager")
    said = " ".join(unsaved.out.split())
    assert "not saved: add --benchmark-autosave --benchmark-save-data, or --benchmark-json FILE" in said
    assert latest.resolve() == file


QUIET = ("perf_tests/test_latency.py", "--benchmark-only", "--model", "tiny-bert", "--variant", "eager", "--variant",
         "sdpa", "--variant", "cuda-graph*", "--variant", "ipex", "--batch-sizes", "1", "--sequence-lengths", "8,600",
         "--time-budget", "0.1", "--peaks", "here", "--threads", "1", "--report")


@pytest.fixture(scope="module")
def ran_quietly(tmp_path_factory):
    """A session as a pipe gets it, and the directory it saved into."""
    directory = tmp_path_factory.mktemp("quiet") / "bench"
    ended = run_pytest(*QUIET, "--benchmark-storage", str(directory), "--benchmark-autosave", "--benchmark-save-data")
    assert ended.code == 0, ended.out
    return ended, directory


def _read(descriptor: int) -> bytes:
    import os

    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux answers EIO when the other side has closed
        return b""
