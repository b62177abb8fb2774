"""Reading files: whatever is in them, a Run or one line a problem; never a traceback."""

import json
import math
import tracemalloc

import pytest
from analysis_files import analysis, benchmark_file, complete_record, older_record, saved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import run_python

from eagerbench import jsonfile
from eagerbench.gate import noise_floor as floors
from eagerbench.gate import pairs
from eagerbench.jsonfile import UnreadableFile
from eagerbench.results import records

GOOD = benchmark_file({"a": [1.0, 2.0, 3.0], "b": [0.5]})
ROUNDS = [0.1, 0.2]


def with_stats(**stats) -> dict:
    return {**GOOD, "benchmarks": [{**GOOD["benchmarks"][0], "stats": {**GOOD["benchmarks"][0]["stats"], **stats}}]}


def test_run_of_a_plain_suite(tmp_path):
    run = records.load(saved(tmp_path, "run.json", GOOD))
    assert {name: bench.median_s for name, bench in run.benchmarks.items()} == {"a": 2.0, "b": 0.5}
    assert run.machine["CPU"] == "Some CPU"
    assert run.when == "2026-11-25T02:00:00+00:00"


def test_median_comes_from_the_rounds_or_else_from_the_stats(tmp_path):
    file = saved(tmp_path, "run.json", with_stats(median=9.0))
    assert records.load(file).benchmarks["a"].median_s == 2.0
    without = saved(tmp_path, "other.json", with_stats(median=9.0, data=[]))
    assert records.load(without).benchmarks["a"].median_s == 9.0


def test_bench_id_goes_before_the_fullname(tmp_path):
    record = {"bench_id": "m/eager/b1/s8/cpu", "speedup_vs_eager": 1.1, "speedup_low": 1.0, "speedup_high": 1.2}
    file = saved(tmp_path, "run.json", benchmark_file({"a": ROUNDS}, records={"a": record}))
    (bench,) = records.load(file).benchmarks.items()
    assert bench == ("m/eager/b1/s8/cpu", records.Bench(pytest.approx(0.15), 1.1, 1.0, 1.2))


BAD = {
    "truncated": (json.dumps(GOOD)[:200], "not JSON"),
    "empty": ("", "empty"),
    "blank": (" \n", "empty"),
    "no JSON": ("hello", "not JSON"),
    "binary": (b"\x80\x81\x00", "not JSON"),
    "a list": ("[1]", "no object"),
    "deep": ("[" * 100_000, "not JSON"),
    "huge number": ('{"benchmarks": ' + "9" * 5000 + "}", "not JSON"),
    "no benchmarks": ("{}", "no list of benchmarks"),
    "benchmarks of another type": ('{"benchmarks": {}}', "no list of benchmarks"),
    "nothing in it": ('{"benchmarks": []}', "no benchmark in it"),
    "benchmark that is none": ('{"benchmarks": [3]}', "benchmark 0: neither bench_id nor fullname"),
    "no stats": ('{"benchmarks": [{"fullname": "x"}]}', "x: no stats in it"),
    "a name twice": ('{"benchmarks": [], "benchmarks": []}', "'benchmarks' occurs twice"),
    "duplicate ids": ({**GOOD, "benchmarks": GOOD["benchmarks"][:1] * 2}, "a: occurs twice"),
    "NaN": (with_stats(median=math.nan), "its median is nan, no time"),
    "infinity": (with_stats(median=math.inf), "its median is inf, no time"),
    "negative": (with_stats(median=-1.0), "its median is -1.0, no time"),
    "zero": (with_stats(median=0), "its median is 0, no time"),
    "text": (with_stats(median="1"), "its median is '1', no time"),
    "true": (with_stats(median=True), "its median is True, no time"),
    "huge time": (with_stats(median=10**300), "a huge number, no time"),
    "negative round": (with_stats(data=[1.0, -1.0]), "a round of -1.0, no time"),
    "missing round": (with_stats(data=[1.0, None]), "a round of None, no time"),
    "NaN round": (with_stats(data=[1.0, math.nan]), "a round of nan, no time"),
    "rounds of another type": (with_stats(data=3), "its rounds are 3, no list"),
    "record of another type": ({"benchmarks": [{**GOOD["benchmarks"][0], "extra_info": 3}]}, "extra_info is no object"),
    "cells of another type": ({**GOOD, "eagerbench": {"cells": 3}}, "cell 0: neither bench_id nor status"),
}


@pytest.mark.parametrize("command", ["compare", "merge"])
@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_line_and_exit_2(tmp_path, capsys, name, command):
    content, says = BAD[name]
    file = tmp_path / "bad.json"
    text = json.dumps(content) if isinstance(content, dict) else content
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    good = saved(tmp_path, "good.json", GOOD)
    more = ("-o", tmp_path / "out.json") if command == "merge" else ()
    for given_files in ((file, good), (good, file)):
        code, out, err = analysis(capsys, command, *given_files, *more)
        assert (code, out) == (2, "")
        assert err.startswith(f"{file}: ")
        assert says in err
        assert err.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


def test_each_problem_has_a_line(tmp_path):
    content = benchmark_file({f"b{index}": [1.0] for index in range(30)})
    for bench in content["benchmarks"]:
        bench["stats"]["median"] = -1.0
    with pytest.raises(UnreadableFile) as error:
        records.load(saved(tmp_path, "run.json", content))
    lines = str(error.value).splitlines()
    assert len(lines) == 21
    assert lines[-1].endswith("and 10 more")


def test_file_that_is_too_large_or_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonfile, "MOST_BYTES", 2**20)
    file = tmp_path / "large.json"
    with file.open("wb") as stream:
        stream.truncate(2**20 + 1)
    for path, says in ((file, "larger than 1 MiB"), (tmp_path / "none.json", "No such file"),
                       (tmp_path / "nul\0.json", "null")):
        with pytest.raises(UnreadableFile, match=says):
            records.load(path)


def test_directory_is_its_files_and_nothing_outside(tmp_path):
    inside, outside = tmp_path / "runs", tmp_path / "elsewhere"
    (inside / "deeper").mkdir(parents=True)
    outside.mkdir()
    saved(inside, "one.json", GOOD)
    saved(inside / "deeper", "two.json", GOOD)
    assert len(records.load_all([inside])) == 2
    (inside / "link.json").symlink_to(saved(outside, "secret.json", GOOD))
    with pytest.raises(UnreadableFile, match=r"link\.json: leads out of"):
        records.load_all([inside])
    with pytest.raises(UnreadableFile, match="given twice"):
        records.load_all([outside / "secret.json", outside])
    (outside / "secret.json").unlink()
    with pytest.raises(UnreadableFile, match="no JSON file in this directory"):
        records.load_all([outside])


def test_mixed_suites_are_refused(tmp_path, capsys):
    ours, other = saved(tmp_path, "a.json", GOOD), saved(tmp_path, "b.json", benchmark_file({"x": ROUNDS}))
    for arguments in ((ours, other), (ours, "--with", ours, other), (ours, other, "--with", ours)):
        code, _, err = analysis(capsys, "compare", *arguments)
        assert code == 2
        assert "files of two suites?" in err


def test_many_files_load_fast_and_small(tmp_path):
    """A twentieth of 1,000 files × 200 benchmarks: a twentieth of 30 s would be 1.5 s, of 2 GiB 100 MiB. What stays in
    memory is counted, not timed."""
    content = benchmark_file({f"tests/test_some.py::test_{index}": [0.001 + index / 1e6] * 50 for index in range(200)})
    for index in range(50):
        saved(tmp_path, f"run{index:04}.json", content)
    tracemalloc.start()
    runs = records.load_all([tmp_path])
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(run.benchmarks) for run in runs) == 10_000
    assert kept < 20 * 2**20
    assert peak < 40 * 2**20


COMPARE = """
import resource, sys
from eagerbench.cli import main
code = main(["compare", sys.argv[1], "--with", sys.argv[2]])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_a_thousand_files_are_compared(tmp_path):
    """500 with 500 of 200 benchmarks, started in turns: the exact test's tables would take gigabytes and minutes."""
    for index in range(1000):
        rounds = {f"tests/test_some.py::test_{bench}": [0.001 + (index * 7 + bench) % 97 / 1e6] * 30
                  for bench in range(200)}
        when = f"2026-11-{1 + index // 48:02}T{index // 2 % 24:02}:{index % 2 * 30:02}:00+00:00"
        side = tmp_path / ("old" if index % 2 else "new")
        side.mkdir(exist_ok=True)
        saved(side, f"run{index:04}.json", benchmark_file(rounds, when))
    ended = run_python("-c", COMPARE, str(tmp_path / "old"), str(tmp_path / "new"))
    code, peak = map(int, ended.out.split()[-2:])
    assert code == 0, ended.err
    assert "Tier 2" in ended.out
    assert peak < 2 * 2**30


FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["[/x]", "\ud800", "\x1b[31m", "|", "a\nb"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5)


@FUZZ
@given(json_values)
def test_any_json_is_read_or_refused(tmp_path, content):
    file = tmp_path / "any.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    for read in (records.load, pairs.read, floors.read):
        with pytest.raises(UnreadableFile, match=r"any\.json"):
            read(file)


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    file = tmp_path / "any.json"
    file.write_bytes(content)
    for read in (records.load, pairs.read, floors.read):
        with pytest.raises(UnreadableFile, match=r"any\.json"):
            read(file)


@pytest.mark.parametrize(("change", "says"), [
    ({"experiment": "half", "bench_id": "m/eager/half/cpu"}, "m/eager/half/cpu: unknown experiment 'half'"),
    ({"experiment": ["half"]}, "unknown experiment ['half']"), ({"experiment": {}}, "unknown experiment {}"),
    ({"new_number": 3.0}, "new_number: no such field"), ({"seed": "x"}, "identity.seed: expected int, got str"),
    ({"seed": 10**400}, "seed is too large a number"), ({"speedup_low": math.nan}, "speedup_low is nan, not a finite"),
    ({"dtype": "int\x1b[31m" + "4" * 500}, "identity.dtype: 'int\\x1b[31m444"), ({"variant": "\ud800"}, "m/eager/b1"),
    ({"variant_turns": [1, 2]}, "its raw rounds are missing"), ({"identity": 3}, "identity: expected object, got int"),
    ({"timing": 3}, "timing: expected object, got int"), ({"options": 3}, "options: no such field"),
    ({"option_mode": "max", "engagement_kernels": 3}, "")])
def test_check_says_what_is_wrong_with_an_older_record(tmp_path, capsys, change, says):
    file = saved(tmp_path, "run.json", benchmark_file({"a": ROUNDS}, records={"a": {**older_record(), **change}}))
    code, out, err = analysis(capsys, "check", file)
    assert code == (4 if says else 0)
    assert says in err if says else "1 record, all complete" in out
    assert all(line.startswith(f"{file}: ") and len(line) < len(str(file)) + 250 for line in err.splitlines())
    assert err.isprintable() or err.replace("\n", "").isprintable()


@pytest.mark.parametrize(("topic", "change", "says"), [
    ("identity", {"seed": "x"}, "identity.seed: expected int, got str"), ("identity", 3, "identity: expected object"),
    ("identity", {"experiment": "half"}, "unknown experiment 'half'"), ("timing", {"pairs": 0}, "timing.pairs: "),
    ("identity", {"device": "cuda:0"}, "bench_id is not that of this model, variant, experiment, workload and device"),
    ("schema_version", 3, "schema_version: 3 is not one of its values"), ("more", {}, "more: no such field"),
    ("identity", {"\ud800": 1}, "no Unicode text"), ("conditions", {"usable": False}, "unusable_reason is missing"),
    ("result", {"flops": 10**400}, "result.flops is too large a number"),
    ("timing", {"variant_turns": [2, 2]}, "its raw rounds are missing"),
    ("identity", {"options": {"mode": "max"}}, "")])
def test_check_says_what_is_wrong_with_a_record(tmp_path, capsys, topic, change, says):
    record = complete_record()
    record[topic] = {**record.get(topic, {}), **change} if isinstance(change, dict) else change
    file = saved(tmp_path, "run.json", benchmark_file({"a": ROUNDS}, records={"a": record}))
    code, out, err = analysis(capsys, "check", file)
    assert code == (4 if says else 0)
    assert says in err if says else "1 record, all complete" in out
