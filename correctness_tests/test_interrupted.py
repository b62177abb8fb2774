"""Sessions that are ended: what was finished is kept, what was not judged is not."""

import signal
import subprocess
import sys
import time

import pytest
from running import ROOT, WITHOUT_PLUGINS, own_environment, run_pytest

from eagerbench.isolation import journal
from eagerbench.results import records


def finished(artifacts) -> int:
    """Tests in the journal, if there is one yet."""
    journals = [file for file in artifacts.glob("interrupted/*.jsonl") if file.stat().st_size]
    return sum(len(journal.read(file).finished) for file in journals)


@pytest.mark.slow
def test_killed_session_keeps_what_was_finished(tmp_path):
    """SIGKILL in the middle: the finished cases are a readable benchmark file, and the next session names it."""
    artifacts = tmp_path / "artifacts"
    arguments = ["perf_tests/test_latency.py", "--benchmark-only", "--model", "tiny-bert", "--variant", "eager",
                 "--variant", "sdpa", "--batch-sizes", "1", "--sequence-lengths", "8,16,32,64,128,256",
                 "--time-budget", "2", "--artifacts", str(artifacts)]
    with subprocess.Popen([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL,
                          env=own_environment()) as process:
        deadline = time.monotonic() + 120
        kept = 0
        while kept < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
            kept = finished(artifacts)
        process.send_signal(signal.SIGKILL)
    (left,) = artifacts.glob("interrupted/*.jsonl")
    content = records.read(left)
    kept = [bench["extra_info"]["identity"]["bench_id"] for bench in content["benchmarks"]]
    assert 3 <= len(kept) < 12
    assert kept == [cell["bench_id"] for cell in content["eagerbench"]["cells"] if cell["status"] == "timed"]
    assert records.problems(content) == []
    later = run_pytest("--collect-only", "--artifacts", str(artifacts), "perf_tests/test_harness_overhead.py")
    assert f"results of an interrupted session: {left}" in later.out


def _heed_ctrl_c() -> None:
    """A shell's background job, as CI may be, ignores SIGINT and hands that down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow  # test_resume.py has a session without a model, test_measuring_session.py what is not judged
def test_ctrl_c_keeps_finished_cases_and_no_unjudged_time(tmp_path):
    file = tmp_path / "run.json"
    artifacts = tmp_path / "artifacts"
    arguments = ["perf_tests/test_latency.py", "--benchmark-only", "--model", "tiny-bert", "--variant", "eager",
                 "--batch-sizes", "1", "--sequence-lengths", "8,16,32", "--time-budget", "2", "--peaks", "here",
                 "--artifacts", str(artifacts), "--benchmark-json", str(file), "--benchmark-save-data",
                 *WITHOUT_PLUGINS]
    with subprocess.Popen([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, preexec_fn=_heed_ctrl_c,
                          env=own_environment()) as process:
        deadline = time.monotonic() + 120
        while not finished(artifacts) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)  # into the rounds of the second case
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 2, out
    content = records.read(file)
    assert 1 <= len(content["benchmarks"]) < 3
    assert records.problems(content) == []
    (left,) = artifacts.glob("interrupted/*.jsonl")
    assert f"--resume={left}\n" in out
