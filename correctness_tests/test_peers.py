"""Beside other tools: how their numbers are read, what the tables say of them, and that no process is left behind."""

import json
import math
import os
import sys
import time
from pathlib import Path

import psutil
import pytest
from running import ROOT, run_python

from scripts.docs import side_by_side
from scripts.peers import processes, summary
from scripts.peers.sides import LOOPS, NoNumber, of_benchmark_app, of_perf_test, of_session, printed

LATENCY = """[Step 11/11] Dumping statistics report
[ INFO ] Execution Devices:['CPU']
[ INFO ] Count:            1012 iterations
[ INFO ] Duration:         2001.37 ms
[ INFO ] Latency:
[ INFO ]    Median:        1.97 ms
[ INFO ]    Average:       1.98 ms
[ INFO ] Throughput:   505.65 FPS
"""


def test_the_latency_of_benchmark_app_is_its_median():
    assert of_benchmark_app("k", throughput=False)(LATENCY) == {"k": pytest.approx(1.97e-3)}
    assert of_benchmark_app("k", throughput=True)(LATENCY) == {"k": pytest.approx(2.00137 / 1012)}
    micro = LATENCY.replace("1.97 ms", "197.25 us")
    assert of_benchmark_app("k", throughput=False)(micro) == {"k": pytest.approx(197.25e-6)}
    for throughput in (False, True):
        with pytest.raises(NoNumber):
            of_benchmark_app("k", throughput)("[ ERROR ] no such file")


def test_the_table_of_bert_perf_test_is_read_and_removed(tmp_path):
    file = tmp_path / "perf_results.txt"
    file.write_text("Latency(ms)\tLatency_P50\tLatency_P75\tbatch_size\n5.10\t4.20\t5.30\t8\n")
    assert of_perf_test("k")(f"running\nTest summary is saved to {file}\n") == {"k": pytest.approx(4.2e-3)}
    assert not file.exists()
    with pytest.raises(NoNumber):
        of_perf_test("k")("Traceback")


def test_a_loop_prints_its_number_last():
    assert printed("k")('a warning\n{"seconds": 0.25, "calls": 8}\n') == {"k": 0.25}
    with pytest.raises(NoNumber):
        printed("k")("nothing")


def test_disturbed_cases_of_a_session_are_no_numbers(tmp_path):
    def bench(variant, usable):
        return {"stats": {"median": 0.5}, "extra_info": {"conditions": {"usable": usable},
                                                         "identity": {"variant": variant}}}

    file = tmp_path / "run.json"
    file.write_text(json.dumps({"benchmarks": [bench("a", True), bench("b", False)]}))
    assert of_session(file, "ours/") == {"ours/a": 0.5}
    file.write_text(json.dumps({"benchmarks": [bench("b", False)]}))
    with pytest.raises(NoNumber, match="other work disturbed it"):
        of_session(file, "ours/")
    with pytest.raises(NoNumber, match="it saved no file"):
        of_session(tmp_path / "none.json", "ours/")


def test_the_loop_times_the_call_alone():
    """A call of 2 ms, which no import and no warm-up is in; pinned, the allocator is."""
    code = (f"import sys; sys.path.insert(0, {str(LOOPS)!r}); import time, clock\n"
            "clock.run(lambda: time.sleep(0.002), 'numpy')")
    for allocator in ("system", "pinned") if sys.platform.startswith("linux") else ("system",):
        environment = {**os.environ, "PEERS_THREADS": "1", "PEERS_SECONDS": "0.1", "PEERS_ALLOCATOR": allocator}
        ended = processes.run([sys.executable, "-c", code], environment, ROOT)
        assert ended.code == 0, ended.err
        found = json.loads(ended.out)
        assert 0.002 <= found["seconds"] < ended.seconds
        assert found["calls"] >= 5
        assert found["versions"]["numpy"]


@pytest.mark.parametrize("file", sorted(LOOPS.glob("*_*.py")), ids=lambda file: file.stem)
def test_loops_know_nothing_of_this_project(file):
    assert "eagerbench" not in file.read_text()
    assert "import clock" in file.read_text() or "PEERS_SECONDS" in file.read_text()


def test_a_process_that_hangs_is_ended_with_its_children(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "_MOST_S", 1.0)
    note = tmp_path / "pid"
    code = (f"import subprocess, sys, time, pathlib; child = subprocess.Popen([sys.executable, '-c', "
            f"'import time; time.sleep(60)']); pathlib.Path({str(note)!r}).write_text(str(child.pid)); time.sleep(60)")
    ended = processes.run([sys.executable, "-c", code], dict(os.environ), ROOT)
    assert ended.code != 0
    assert ended.last_words == "no end in 1.0 s"
    child = int(note.read_text())
    end = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)


def number(key, seconds, repeat=0, allocator="system", shape="8x128", error=None):
    return {"model": "minilm", "shape": shape, "repeat": repeat, "key": key, "seconds": seconds, "error": error,
            "allocator": allocator, "others": 0.0}


def measured():
    """Four repeats on a machine that drifts: benchmark_app 1 % over its loop, ours 3 % over the pinned one."""
    found = []
    for repeat, drift in enumerate((1.0, 1.2, 0.9, 1.5)):
        wobble = 1 + 0.001 * (-1) ** repeat
        found += [number("bare/openvino", 0.1 * drift, repeat), number("bare/openvino", 0.08 * drift, repeat, "pinned"),
                  number("tool/benchmark_app-latency", 0.101 * drift * wobble, repeat),
                  number("tool/ctranslate2-float32", 0.075 * drift * wobble, repeat),
                  number("ours/openvino", 0.0824 * drift * wobble, repeat, "pinned"),
                  number("ours/sdpa", 0.2 * drift, repeat, "pinned"),
                  number("tool/bert_perf_test", None, repeat, error="onnxruntime 1.0: KeyError: '|x|'")]
    return found


def test_truth_compares_under_the_same_conditions():
    rows = {(row[1], row[2]): row for row in summary.truth(measured())}
    theirs, ours = rows["OpenVINO, float32", "benchmark_app -hint latency"], rows["OpenVINO, float32", "eagerbench"]
    assert theirs[0] == "minilm 8×128"
    assert theirs[5].startswith("+1.0 % [+0.")
    assert ours[5].startswith("+3.0 % [+2.")  # of the pinned loop, not of the plain one, which takes longer
    assert ours[4] == "88.0"
    assert rows["ONNX Runtime, float32", "bert_perf_test.py"][3] == "– (onnxruntime 1.0: KeyError: '|x|')"
    assert ("PyTorch, SDPA", "optimum-benchmark, inline launcher") not in rows  # it was not asked for
    assert summary.goal(measured()) == ("0 of 1 of our numbers are within 2% of the bare loop; not: OpenVINO, float32 "
                                        f"at minilm 8×128 ({ours[5]}).")


def test_speed_is_that_of_the_fastest_of_each():
    (row,) = summary.speed(measured())
    assert row[1:3] == ["float32, one call at a time", "openvino"]
    assert row[4] == "CTranslate2 float32"
    assert row[6].startswith("0.91 [")
    assert row[7] == "theirs"
    assert summary.verdict(summary.ratio({0: 1.0, 1: 1.1}, {0: 1.0, 1: 1.0})) == "a tie"
    assert summary.verdict(summary.ratio({0: 1.0}, {0: 1.0})) == "not known"
    assert summary.ratio({0: 1.0}, {1: 1.0}) is None


def test_ratios_are_of_the_same_repeat():
    """Medians over a drifting machine would say something else."""
    found = summary.ratio({0: 1.0, 1: 3.0, 2: 5.0}, {0: 0.5, 1: 1.5, 2: 2.5})
    assert found.value == pytest.approx(2.0)
    assert summary.percent(found) == "+100.0 %"
    assert math.isclose(summary.ratio({0: 1.0, 1: 9.0}, {0: 2.0}).value, 0.5)


def test_an_error_is_said_once_in_the_tools_own_words(tmp_path, monkeypatch):
    assert summary.missing(measured()) == [["bert_perf_test, minilm 8×128", "onnxruntime 1.0: KeyError: '|x|'"]]
    monkeypatch.setattr(side_by_side, "RESULTS", tmp_path)
    assert side_by_side.peers("truth") == "No measurement is kept: `make peers` makes one."
    head = {"date": "2026-11-28", "cpu": "a processor", "cores": 2, "threads": 2, "repeats": 4,
            "versions": {"torch": "2"}}
    (tmp_path / "peers.json").write_text(json.dumps({**head, "numbers": measured()}))
    table = side_by_side.peers("missing")
    assert r"KeyError: '\|x\|'" in table
    assert "From [peers.json]" in side_by_side.peers("speed")
    assert "placeholder" not in side_by_side.peers("truth")
    busy = [{**one, "others": 1.3} for one in measured()]
    (tmp_path / "peers.json").write_text(json.dumps({**head, "numbers": busy}))
    assert "Other work took up to 1.3 cores meanwhile: a placeholder" in side_by_side.peers("truth")


@pytest.mark.slow
def test_a_real_measurement(tmp_path):
    """Two processes of a kind: the bare loops of ONNX Runtime and its own benchmark."""
    file = tmp_path / "peers.json"
    ended = run_python("-m", "scripts.peers", "--shape", "1x16", "--repeats", "2", "--seconds", "0.2", "--threads", "1",
                       "--only", "bare/onnxruntime", "--only", "bert_perf_test", "--scratch", str(tmp_path / "scratch"),
                       "-o", str(file))
    assert ended.code == 0, ended.err
    numbers = json.loads(file.read_text())["numbers"]
    assert {one["key"] for one in numbers} == {"bare/onnxruntime", "tool/bert_perf_test"}
    assert all(one["seconds"] for one in numbers), numbers
    (row,) = summary.truth(numbers)
    assert row[5] != "–"
    assert Path(tmp_path / "scratch" / "minilm-1x16.npz").exists()
