"""Saved files compared: tiers, lists, exit codes; merging."""

import json
import math

import pytest
from analysis_files import (
    MACHINE,
    analysis,
    benchmark_file,
    complete_record,
    noise_floor,
    older_record,
    saved,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saved_runs import NAMES, compared, runs, status

from eagerbench.results import fingerprint, records
from eagerbench.results.decode import decode


def test_many_files_in_turns_are_tested(tmp_path, capsys):
    old, new = runs(tmp_path, "old", 8, 1), runs(tmp_path, "new", 8, 2, {"b3": 0.1}, minute=5)
    found = compared(old, new)
    assert (found["tier"], found["outcome"], found["exit_code"]) == (2, "REGRESSED", 1)
    assert status(found) == {**dict.fromkeys(NAMES, "OK"), "b3": "REGRESSED"}
    row = found["benchmarks"][3]
    assert row["low"] <= 1.1 <= row["high"]
    assert analysis(capsys, "compare", *old, "--with", *new)[0] == 1
    backward = compared(new, old)
    assert (status(backward)["b3"], backward["exit_code"]) == ("IMPROVED", 0)
    for here, there in zip(found["benchmarks"], backward["benchmarks"], strict=True):
        assert (here["ratio"], here["low"], here["high"]) == pytest.approx(
            (1 / there["ratio"], 1 / there["high"], 1 / there["low"]))


def test_equal_times_are_no_improvement(tmp_path):
    old, new = ([saved(tmp_path, f"{side}{index}.json", benchmark_file(
        dict.fromkeys(NAMES, [0.01] * 5), f"2026-11-25T0{2 + index}:{minute:02}:00+00:00")) for index in range(7)]
        for side, minute in (("old", 0), ("new", 5)))
    found = compared(old, new)
    assert (found["tier"], set(status(found).values())) == (2, {"OK"})
    assert {(row["low"], row["high"]) for row in found["benchmarks"]} == {(1.0, 1.0)}


def test_files_in_which_everything_failed_belong_to_the_suite(tmp_path, capsys):
    cells = {"eagerbench": {"cells": [{"bench_id": name, "status": "failed", "reason": "no"} for name in NAMES]}}
    (good,) = runs(tmp_path, "good", 1, 1)
    old = runs(tmp_path, "old", 1, 1)
    bad = saved(tmp_path, "bad.json", benchmark_file({}, "2026-11-25T02:00:00+00:00", **cells))
    assert analysis(capsys, "compare", *old, "--with", good, bad)[0] == 4


def test_noisy_files_are_inconclusive(tmp_path):
    old, new = runs(tmp_path, "old", 7, 1, spread=0.1), runs(tmp_path, "new", 7, 2, spread=0.1, minute=5)
    assert compared(old, new)["outcome"] == "INCONCLUSIVE"
    assert compared(old, new)["exit_code"] == 0
    assert compared(old, new, strict=True)["exit_code"] == 3


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(factor=st.floats(0.1, 10), times=st.integers(1, 4), random=st.randoms())
def test_scaling_duplicating_and_permuting_rounds_change_no_p(tmp_path, factor, times, random):
    old, new = runs(tmp_path, "old", 7, 1), runs(tmp_path, "new", 7, 2, {"b0": 0.06, "b1": 0.02}, minute=5)
    before = compared(old, new)["benchmarks"]

    def change(rounds):
        return random.sample([value * factor for value in rounds], len(rounds)) * times

    old, new = (runs(tmp_path, "old", 7, 1, change=change),
                runs(tmp_path, "new", 7, 2, {"b0": 0.06, "b1": 0.02}, change=change, minute=5))
    for was, now in zip(before, compared(old, new)["benchmarks"], strict=True):
        assert (was["p"], was["p_adjusted"], was["status"]) == (now["p"], now["p_adjusted"], now["status"])
        assert was["ratio"] == pytest.approx(now["ratio"])


@pytest.mark.parametrize(("count", "minute", "says"), [
    (6, 5, "6 old and 6 new files; from 7 a side on"),
    (7, 70, "not started in turns (7 of one side in a row)"),
])
def test_few_files_or_blocks_of_them_are_not_tested(tmp_path, count, minute, says):
    found = compared(runs(tmp_path, "old", count, 1), runs(tmp_path, "new", count, 2, {"b0": 0.5}, minute=minute))
    assert (found["tier"], found["exit_code"]) == (3, 0)
    assert says in found["why"]
    assert set(status(found).values()) == {"NOT JUDGED"}


def test_two_files_are_held_against_the_recorded_spread(tmp_path, capsys):
    (old,), (new,) = runs(tmp_path, "old", 1, 1), runs(tmp_path, "new", 1, 2, {"b0": 0.5})
    floor = saved(tmp_path, "floor.json", noise_floor(NAMES[:4], fingerprint.of(MACHINE)))
    code, out, _ = analysis(capsys, "compare", old, new, "--noise-floor", floor)
    assert code == 0
    assert "Tier 3 (same machine, few files)" in out
    found = compared([old], [new], json.loads(floor.read_text()))
    assert status(found) == {"b0": "OUTSIDE", "b1": "INSIDE", "b2": "INSIDE", "b3": "INSIDE", "b4": "NOT JUDGED"}
    assert all(row["p"] is None for row in found["benchmarks"])


def test_another_machine_is_not_judged(tmp_path, capsys):
    (old,) = runs(tmp_path, "old", 1, 1)
    record = {"b0": {"speedup_vs_eager": 2.0, "speedup_low": 1.9, "speedup_high": 2.1}}
    (new,) = runs(tmp_path, "new", 1, 2, machine={**MACHINE, "cpu": {"brand_raw": "Another"}}, records=record)
    code, out, _ = analysis(capsys, "compare", old, new)
    assert code == 3
    assert "CPU: Some CPU → Another" in out
    assert "cores: 2 → not recorded" in out
    assert "2.00 [1.90, 2.10]" in out
    code, out, _ = analysis(capsys, "compare", old, new, "--markdown")
    assert "### Tier 4 (another machine): NOT COMPARABLE" in out
    unknown = saved(tmp_path, "unknown.json", benchmark_file({"b0": [1.0]}, machine={}))
    twin = saved(tmp_path, "twin.json", benchmark_file({"b0": [1.0]}, machine={}))
    assert compared([unknown], [twin])["why"] == "a file does not say what it was measured on"


def test_new_vanished_skipped_and_failed_benchmarks_are_listed(tmp_path, capsys):
    old = saved(tmp_path, "old.json", benchmark_file({"a": [1.0], "gone": [1.0], "skipped": [1.0], "broken": [1.0]}))
    cells = [{"bench_id": "skipped", "status": "skipped", "reason": "no such package"},
             {"bench_id": "broken", "status": "failed", "reason": "wrong output"}]
    new = saved(tmp_path, "new.json", benchmark_file({"a": [1.0], "fresh": [1.0]}, eagerbench={"cells": cells}))
    found = compared([old], [new])
    assert found["exit_code"] == 4
    assert found["vanished"] == {"gone": "", "skipped": "no such package"}
    assert (found["failed"], found["new"]) == ({"broken": "wrong output"}, ["fresh"])
    code, out, _ = analysis(capsys, "compare", old, new)
    assert code == 4
    assert all(word in out for word in ("gone", "no such package", "wrong output", "fresh"))


def test_usage(tmp_path, capsys):
    file = saved(tmp_path, "a.json", benchmark_file({"a": [1.0]}))
    for arguments in ((file,), (file, file), (file, file, file), (file, "--with", file), ()):
        code, out, err = analysis(capsys, "compare", *arguments)
        assert (code, out) == (2, "")
        assert err


def test_merge_keeps_everything_and_marks_other_machines(tmp_path, capsys):
    cells = [{"bench_id": name, "model": "m", "variant": name, "workload": "w", "status": "timed", "reason": ""}
             for name in ("a", "b")]
    skipped = {**cells[1], "status": "skipped", "reason": "not here"}
    one = saved(tmp_path, "one.json", benchmark_file({"a": [1.0]}, eagerbench={
        "cells": [cells[0], skipped], "session": {"wall_s": 2.0, "measured_s": 1.0}}))
    two = saved(tmp_path, "two.json", benchmark_file({"b": [1.0]}, machine={**MACHINE, "threads": 1}, eagerbench={
        "cells": [cells[1]], "session": {"wall_s": 3.0, "measured_s": 1.0}}))
    output = tmp_path / "merged.json"
    assert analysis(capsys, "merge", one, two, "-o", output)[0] == 0
    merged = json.loads(output.read_text())
    assert [bench["fullname"] for bench in merged["benchmarks"]] == ["a", "b"]
    assert merged["benchmarks"][0]["extra_info"] == {}
    assert merged["benchmarks"][1]["extra_info"]["machine_differences"] == ["threads: 2 → 1"]
    assert merged["eagerbench"] == {"cells": cells, "session": {"wall_s": 5.0, "measured_s": 2.0}}
    assert analysis(capsys, "summary", output)[0] == 0
    assert records.load(output).benchmarks.keys() == {"a", "b"}
    code, out, _ = analysis(capsys, "compare", output, saved(tmp_path, "again.json", merged))
    assert code == 3
    assert "was merged from files of several machines" in " ".join(out.split())


def test_merge_refuses_a_benchmark_twice_unless_told_which(tmp_path, capsys):
    one = saved(tmp_path, "one.json", benchmark_file({"a": [1.0], "b": [1.0]}))
    two = saved(tmp_path, "two.json", benchmark_file({"a": [2.0], "c": [1.0]}))
    output = tmp_path / "merged.json"
    code, _, err = analysis(capsys, "merge", one, two, "-o", output)
    assert code == 2
    assert err == f"{two}: a: is in {one} too; leave one out, or --keep-first\n"
    assert not output.exists()
    assert analysis(capsys, "merge", one, two, "-o", output, "--keep-first")[0] == 0
    assert {name: bench.median_s for name, bench in records.load(output).benchmarks.items()} == {
        "a": 1.0, "b": 1.0, "c": 1.0}
    assert analysis(capsys, "merge", one, "-o", output)[0] == 2
    assert analysis(capsys, "merge", one, two, "-o", tmp_path / "no" / "such.json", "--keep-first")[0] == 2


def test_merge_writes_no_number_that_json_has_not(tmp_path, capsys):
    one = saved(tmp_path, "one.json", benchmark_file({"a": [1.0]}, records={"a": {"some": math.nan}}))
    two = saved(tmp_path, "two.json", benchmark_file({"b": [1.0]}))
    code, _, err = analysis(capsys, "merge", one, two, "-o", tmp_path / "merged.json")
    assert code == 2
    assert "a NaN or an infinity" in err
    assert not (tmp_path / "merged.json").exists()


def test_failed_cell_stays_failed_when_merged(tmp_path):
    from eagerbench.results.merge import merge

    cell = {"bench_id": "a", "status": "timed", "reason": ""}
    contents = [benchmark_file({"a": [1.0]}, eagerbench={"cells": [cell]}),
                benchmark_file({"b": [1.0]}, eagerbench={"cells": [{**cell, "status": "failed"}]})]
    files = [saved(tmp_path, f"{index}.json", content) for index, content in enumerate(contents)]
    assert merge(files, contents)["eagerbench"]["cells"][0]["status"] == "failed"


@pytest.mark.parametrize("record", [complete_record, older_record], ids=["today", "older"])
def test_summary_and_check_of_a_complete_record(tmp_path, capsys, record):
    file = saved(tmp_path, "run.json", benchmark_file({"a": [0.1, 0.2]}, records={"a": record()}))
    assert analysis(capsys, "check", file)[0] == 0
    code, out, _ = analysis(capsys, "summary", file)
    assert code == 0
    assert "m: speed-up over eager" in out


def test_records_of_both_forms_are_compared_and_merged(tmp_path, capsys):
    """One benchmark before and after records were nested; a merged one tells of its machine where its identity is."""
    name, rounds = "m/eager/b1/s8/cpu", {"a": [0.1, 0.2]}
    old, new = (saved(tmp_path, f"{made.__name__}.json", benchmark_file(rounds, machine=machine, records={"a": made()}))
                for made, machine in ((older_record, MACHINE), (complete_record, MACHINE)))
    assert records.load(old).benchmarks == records.load(new).benchmarks
    assert records.load(new).benchmarks[name].speedup == 1.0
    code, out, _ = analysis(capsys, "compare", old, new)
    assert (code, "another benchmark" in out) == (0, False)
    for made in (older_record, complete_record):
        away = saved(tmp_path, "away.json", benchmark_file(rounds, machine={**MACHINE, "threads": 1}, records={
            "a": made("m/sdpa/b1/s8/cpu")}))
        output = tmp_path / "merged.json"
        assert analysis(capsys, "merge", old, away, "-o", output)[0] == 0
        merged = json.loads(output.read_text())["benchmarks"]
        assert decode(merged[1]["extra_info"]).identity.machine_differences == ["threads: 2 → 1"]
        assert records.load(output).several_machines
        assert analysis(capsys, "check", output)[0] == 0
