"""Published statements: every verdict can be reached, and every published rule speaks of things that exist."""

import re

import pytest
from analysis_files import benchmark_file, complete_record, older_record, saved
from running import run_python

from eagerbench import backends
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import older
from eagerbench.results.statements import (
    DOES_NOT,
    HOLDS,
    NOT_MEASURED,
    fit,
    judge,
    matches,
    published,
    records_of,
    tables,
)

SOURCES, STATEMENTS = published()
VALUE = {"value": "speedup", "select": {"variant": "onnx*"}, "holds": {"above": 1}}
RATIO = {"ratio": "rate", "by": ["model"], "among": {"batch": {"max": 31}}, "over": {"variant": "onnx*"},
         "under": {"variant": ["eager", "jit"]}, "holds": {"above": 1}}


def record(variant, **fields):
    return {"bench_id": f"m/{variant}", "variant": variant, "model": "m", "machine": "here", "batch": 1, **fields}


def verdict(rule, *records):
    judged = judge({"rule": rule}, records)
    return judged.verdict, [round(seen.number, 6) for seen in judged.observations]


def test_values():
    fast, slow, other = record("onnx", speedup=1.5), record("onnx-int8", speedup=0.5), record("eager", speedup=9.0)
    assert verdict(VALUE, fast, other) == (HOLDS, [1.5])
    assert verdict(VALUE, fast, slow) == (DOES_NOT, [1.5, 0.5])
    assert verdict(VALUE, other) == (NOT_MEASURED, [])
    assert verdict(VALUE, record("onnx", speedup=None)) == (NOT_MEASURED, [])


@pytest.mark.parametrize(("need", "expected"), [("all", DOES_NOT), ("any", HOLDS), (0.5, HOLDS), (0.6, DOES_NOT)])
def test_how_many_must_be_so(need, expected):
    assert verdict({**VALUE, "need": need}, record("onnx", speedup=2.0), record("onnx", speedup=0.9))[0] == expected


def test_equal_values_count_once_where_the_rule_says_by_what():
    records = [record("onnx", speedup=2.0), record("onnx", speedup=2.0), record("onnx", speedup=3.0)]
    assert verdict({**VALUE, "by": ["model", "variant"]}, *records)[1] == [2.0, 3.0]
    assert verdict(VALUE, *records)[1] == [2.0, 2.0, 3.0]


def test_ratios():
    onnx, eager, jit = record("onnx", rate=30.0), record("eager", rate=20.0), record("jit", rate=25.0)
    assert verdict(RATIO, onnx, eager, jit) == (HOLDS, [1.2])
    assert verdict(RATIO, onnx, eager, record("jit", rate=60.0)) == (DOES_NOT, [0.5])
    assert verdict(RATIO, onnx) == (NOT_MEASURED, [])
    assert verdict(RATIO, {**onnx, "batch": 32}, {**eager, "batch": 32}) == (NOT_MEASURED, [])
    assert verdict({**RATIO, "aggregate": "smallest"}, onnx, eager, jit)[1] == [1.5]


def test_one_benchmark_measured_twice_is_no_ratio():
    rule = {**RATIO, "over": {}, "under": {}, "aggregate": "smallest"}
    assert verdict(rule, record("eager", rate=20.0), record("eager", rate=21.0)) == (NOT_MEASURED, [])
    assert verdict(rule, record("eager", rate=20.0), record("onnx", rate=21.0)) == (HOLDS, [1.05])


def test_each_value_of_a_field_must_have_been_measured():
    rule = {**VALUE, "each": "task", "select": {"task": ["answering", "labelling"]}}
    answering, labelling = (record("onnx", speedup=2.0, task=task) for task in ("answering", "labelling"))
    assert verdict(rule, answering) == (NOT_MEASURED, [])
    assert verdict(rule, answering, labelling) == (HOLDS, [2.0, 2.0])


def test_a_ratio_is_of_one_machine_and_one_group():
    onnx, eager = record("onnx", rate=30.0), record("eager", rate=20.0)
    assert verdict(RATIO, onnx, {**eager, "machine": "there"}) == (NOT_MEASURED, [])
    assert verdict(RATIO, onnx, {**eager, "model": "other"}) == (NOT_MEASURED, [])
    assert verdict(RATIO, {**onnx, "threads": 1}, {**eager, "threads": 2}) == (NOT_MEASURED, [])
    assert verdict(RATIO, {**onnx, "model_fingerprint": "a"}, {**eager, "model_fingerprint": "b"}) == (NOT_MEASURED, [])


def test_growth_of_a_ratio():
    """Sorted over unsorted at the largest batch by that at the smallest."""
    rule = {"ratio": "rate", "by": ["variant"], "growth": "batch", "among": {"batch": {"min": 2}},
            "over": {"policy": "sorted"}, "under": {"policy": "in-order"}, "holds": {"above": 1}}
    rates = {2: (10.0, 11.0), 8: (10.0, 30.0), 64: (10.0, 22.0), 1: (10.0, 90.0)}
    records = [record("onnx", batch=batch, policy=policy, rate=rate, bench_id=f"m/{batch}/{policy}")
               for batch, pair in rates.items() for policy, rate in zip(("in-order", "sorted"), pair, strict=True)]
    assert verdict(rule, *records) == (HOLDS, [2.0])
    assert verdict({**rule, "holds": {"above": 2.1}}, *records) == (DOES_NOT, [2.0])
    assert verdict(rule, *records[:2]) == (NOT_MEASURED, [])


def test_spread_of_one_record_is_no_spread():
    rule = {**RATIO, "over": {}, "under": {}, "aggregate": "smallest", "holds": {"below": 1.1}}
    assert verdict(rule, record("onnx", rate=30.0)) == (NOT_MEASURED, [])
    assert verdict(rule, record("onnx", rate=30.0), record("jit", rate=29.0))[0] == HOLDS
    assert verdict(rule, record("onnx", rate=30.0), record("jit", rate=20.0)) == (DOES_NOT, [1.5])


@pytest.mark.parametrize(("wanted", "value", "fits"), [
    ("onnx*", "onnx-int8", True), ("onnx*", None, False), ("onnx", "onnx-int8", False), (["a", "b*"], "bc", True),
    ({"min": 2}, 2, True), ({"min": 2}, 1, False), ({"max": 2}, None, False), ({"not": "eager"}, "onnx", True),
    ({"not": "eager"}, "eager", False), (64, 64, True), (64, 16, False),
])
def test_selection(wanted, value, fits):
    assert matches({"field": value}, {"field": wanted}) is fits


def test_holds_knows_every_comparison():
    for holds, good, bad in (({"at_least": 2}, 2, 1), ({"above": 2}, 3, 2), ({"at_most": 2}, 2, 3),
                             ({"below": 2}, 1, 2), ({"not": True}, "RuntimeError: sizes", True)):
        rule = {"value": "seen", "select": {}, "holds": holds}
        assert judge({"rule": rule}, [record("a", seen=good)]).verdict == HOLDS
        assert judge({"rule": rule}, [record("a", seen=bad)]).verdict == DOES_NOT


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement["id"])
def test_published_rule_speaks_of_what_exists(statement):
    assert statement["source"] in SOURCES
    rule = statement["rule"]
    known = set().union(*(older.fields(experiment.record) for experiment in EXPERIMENTS.values()))
    selections = [rule[name] for name in ("select", "among", "over", "under") if name in rule]
    fields = {rule.get("value") or rule["ratio"], *rule.get("by", ()),
              *([rule["growth"]] if "growth" in rule else []), *(name for one in selections for name in one)}
    assert {name for name in fields if not name.startswith("engagement_")} <= known
    for select in selections:
        assert select.get("experiment", "latency") in EXPERIMENTS
        named = select.get("variant", [])
        named = named["not"] if isinstance(named, dict) else named
        assert set([named] if isinstance(named, str) else named) <= set(backends.variants())
    assert judge(statement, []).verdict == NOT_MEASURED


def test_records_of_two_machines_stay_apart():
    def content(cpu):
        return {"machine_info": {"cpu": {"brand_raw": cpu}, "usable_cores": 2},
                "benchmarks": [{"extra_info": {"model": "m", "bench_id": "m/a/b1/s8/cpu", "engagement": "none"}},
                               {"extra_info": {"model": "of another suite"}}, {"extra_info": {}}, None]}

    found = records_of(content("A")) + records_of(content("B"))
    assert [(record["machine"], record["experiment"]) for record in found] == [("A, 2 cores", "latency"),
                                                                              ("B, 2 cores", "latency")]


def test_tables_name_the_records():
    statement = {"id": "x", "says": "fast", "checked": "speed", "source": "sbert", "rule": VALUE}
    verdicts, checked, sources, used = tables([judge(statement, [record("onnx", speedup=1.5)])], SOURCES)
    assert verdicts.rows == [["x", "fast", HOLDS, "1.50; 1 of 1 as it says", "sbert"]]
    assert verdicts.note.startswith("1 holds; 0 does not hold")
    assert checked.rows == [["x", "speed"]]
    assert used.rows == [["x", "1.50", "yes", "m/onnx"]]
    assert len(sources.rows) == len(SOURCES)


@pytest.mark.parametrize(("fields", "counts"), [
    ({"parameter_bytes": 90_000_000}, True), ({"parameter_bytes": 500_000}, False), ({}, False),
    ({"parameter_bytes": 90_000_000, "layers": 2}, False)])
def test_toys_and_pruned_models_prove_nothing(fields, counts):
    assert fit(record("onnx", **fields)) is counts


@pytest.mark.parametrize(("name", "number", "expected"), [
    ("onnx-batch-1", 4.11, DOES_NOT), ("onnx-batch-1", 2.5, HOLDS), ("onnx-batch-1", 1.9, DOES_NOT),
    ("longer-texts-worse", 0.3, DOES_NOT), ("longer-texts-worse", 0.95, HOLDS)])
def test_ranges_have_two_ends(name, number, expected):
    (statement,) = (one for one in STATEMENTS if one["id"] == name)
    measured = record("onnxruntime", experiment="latency", batch_size=1, sequence_length=128, device="cpu",
                      speedup_vs_eager=number)
    assert judge(statement, [measured]).verdict == expected


def test_every_range_and_about_in_words_has_two_ends_in_its_rule():
    for statement in STATEMENTS:
        if re.search(r"\d to \d[^%]* times|about|quarter|slightly", statement["says"]):
            assert len(statement["rule"]["holds"]) == 2, statement["id"]


def test_command(tmp_path):
    """Without torch; a bad file is one line."""
    name = "m/onnxruntime/b1/s16/cpu"
    latency = complete_record(name, speedup_vs_eager=2.5, parameter_bytes=90_000_000)
    before = older_record(name, speedup_vs_eager=2.5, parameter_bytes=90_000_000)
    file = saved(tmp_path, "run.json", benchmark_file({name: [0.1, 0.2]}, records={name: latency}))
    other = saved(tmp_path, "other.json", benchmark_file({name: [0.1, 0.2]}, records={name: before}))
    code = f"""
import sys
from eagerbench.cli import main
status = main(["statements", {str(file)!r}, {str(other)!r}, "--markdown"])
assert "torch" not in sys.modules and "eagerbench.fixtures" not in sys.modules
sys.exit(status)
"""
    ended = run_python("-c", code)
    assert ended.code == 0, ended.err
    assert re.search(r"\| onnx-batch-1 \| ONNX Runtime is 2 to 3 times .* \| holds \| 2\.50; 2 of 2", ended.out)
    missing = run_python("-m", "eagerbench", "statements", str(file), str(tmp_path / "none.json"))
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert "No such file" in missing.err
    bad = {name: {**before, "model": ["m"]}}
    wrong = saved(tmp_path, "wrong.json", benchmark_file({name: [0.1, 0.2]}, records=bad))
    ended = run_python("-m", "eagerbench", "statements", str(wrong))
    assert ended.code == 2
    assert ended.err
    assert all(line.startswith(f"{wrong}: ") for line in ended.err.splitlines())
