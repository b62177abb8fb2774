"""What the analysis makes of a case that was disturbed, and of an interval that says nothing."""

import json

import pytest
from analysis_files import analysis, benchmark_file, complete_record, saved

from eagerbench.experiments import latency
from eagerbench.results import older, statements, tables
from eagerbench.results.decode import decode
from eagerbench.statistics import says_nothing

REASON = "6 of 6 turns disturbed: other processes kept 0.9 cores busy"
UNUSABLE = {"usable": False, "unusable_reason": REASON}
FAST, SLOW = "m/onnxruntime/b1/s8/cpu", "m/sdpa/b1/s8/cpu"


def records(**changes: dict) -> dict[str, dict]:
    """Eager, a fast variant and a slow one; `changes` by variant."""
    speeds = {"m/eager/b1/s8/cpu": (1.0, 0.98, 1.02), FAST: (974.5, 900.0, 999.0), SLOW: (1.1, 1.08, 1.12)}
    return {name: complete_record(name, **{"speedup_vs_eager": value, "speedup_low": low, "speedup_high": high,
                                           **changes.get(name.split("/")[1], {})})
            for name, (value, low, high) in speeds.items()}


def file_of(found: dict[str, dict]) -> dict:
    cells = [{"bench_id": name, "model": "m", "variant": record["variant"], "experiment": "latency",
              "workload": record["workload"], "status": "timed" if record.get("usable", True) else "unusable",
              "reason": record.get("unusable_reason", "")}
             for name, record in ((name, older.flat(one)) for name, one in found.items())]
    return benchmark_file({key: [0.1, 0.2] for key in found}, records=found,
                          eagerbench={"cells": cells, "session": {"wall_s": 1.0, "measured_s": 0.5}})


def shown(found: dict[str, dict]) -> list:
    content = file_of(found)
    ours = content["eagerbench"]
    return tables.tables(content["benchmarks"], ours["cells"], ours["session"])


def test_an_unusable_case_has_no_star_and_stands_on_the_last_screen():
    grids = shown(records(onnxruntime=UNUSABLE))
    speeds, last = grids[0], grids[-1]
    assert [row[0] for row in speeds.rows] == ["eager", "sdpa"]
    assert "1.10*" in speeds.rows[1][2]
    assert "Fastest of all: sdpa" in speeds.note
    assert last.title == "what to doubt"
    assert last.rows == [["unusable", FAST, REASON]]
    assert "1 of 3 cases" in last.note
    assert ["onnxruntime", f"unusable: {REASON}"] in grids[-2].rows


def test_without_doubt_there_is_no_such_table():
    assert all(grid.title != "what to doubt" for grid in shown(records()))


def test_an_overrun_is_said():
    grid = shown(records(sdpa={"overrun": "ended after 1 of 3 pairs of turns: 20 s where 0.5 were planned"}))[-1]
    assert grid.rows[0][:2] == ["overran", SLOW]
    assert grid.note == ""


@pytest.mark.parametrize(("low", "high", "nothing"), [(0.98, 1.02, False), (1.0, 1.5, False), (0.8, 1.21, True),
                                                      (0.001, 120.0, True), (None, None, True), (0.0, 1.0, True)])
def test_an_interval_wider_than_a_half_says_nothing(low, high, nothing):
    assert says_nothing(low, high) is nothing


def test_a_wide_interval_is_never_one_within_it_nor_fastest():
    wide = {"speedup_vs_eager": 10.44, "speedup_low": 0.001, "speedup_high": 120.0}
    grid = latency.tables("m", list(map(decode, records(eager=wide, onnxruntime=wide).values())))[0]
    assert "is 1 within its interval" not in grid.note
    assert "The interval of eager against itself is too wide at b1-s8" in grid.note
    assert "Fastest of all: sdpa" in grid.note
    assert [row[2] for row in grid.rows] == ["10.44? [<0.01, >99]", "10.44? [<0.01, >99]", "1.10* [1.08, 1.12]"]


def test_where_nothing_is_known_nothing_is_fastest():
    wide = {"speedup_low": 0.5, "speedup_high": 2.0}
    grid = latency.tables("m", list(map(decode, records(eager=wide, onnxruntime=wide, sdpa=wide).values())))[0]
    assert "Fastest" not in grid.note
    assert "*" not in "".join(row[2] for row in grid.rows)


def test_statements_leave_unusable_records_out():
    found = statements.records_of(file_of(records(onnxruntime=UNUSABLE)))
    assert [record["variant"] for record in found] == ["eager", "sdpa"]


def test_check_accepts_some_unusable_cases_and_not_only_such(tmp_path, capsys):
    some = saved(tmp_path, "some.json", file_of(records(onnxruntime=UNUSABLE)))
    code, out, _ = analysis(capsys, "check", some)
    assert (code, "3 records, all complete, 1 of them unusable" in out) == (0, True)
    only = saved(tmp_path, "only.json", file_of(records(onnxruntime=UNUSABLE, eager=UNUSABLE, sdpa=UNUSABLE)))
    code, _, err = analysis(capsys, "check", only)
    assert (code, "every time in it is unusable" in err) == (4, True)


def test_an_unusable_record_has_a_reason(tmp_path, capsys):
    found = records()
    found[FAST]["conditions"]["usable"] = False
    file = saved(tmp_path, "run.json", file_of(found))
    code, _, err = analysis(capsys, "check", file)
    assert (code, "unusable_reason" in err) == (4, True)


def test_compare_does_not_judge_by_unusable_times(tmp_path, capsys):
    """Neither as slower, nor as vanished, nor as new."""
    old, disturbed = file_of(records()), file_of(records(onnxruntime=UNUSABLE))
    disturbed["benchmarks"][1]["stats"].update(median=9.0, data=[9.0, 9.0])
    for first, second in ((old, disturbed), (disturbed, old)):
        files = [saved(tmp_path, name, content) for name, content in (("a.json", first), ("b.json", second))]
        code, out, err = analysis(capsys, "compare", *files)
        assert code == 0, err
        row = next(line for line in out.splitlines() if "unusable" in line and FAST in line)
        assert "not judged" in row
        assert not any(word in out for word in ("│ vanished", "│ new "))


def test_compare_of_files_with_nothing_usable_judges_nothing(tmp_path, capsys):
    all_of = file_of(records(onnxruntime=UNUSABLE, eager=UNUSABLE, sdpa=UNUSABLE))
    files = [saved(tmp_path, name, json.loads(json.dumps(all_of))) for name in ("a.json", "b.json")]
    code, out, _ = analysis(capsys, "compare", *files)
    assert (code, "NOT COMPARABLE" in out) == (3, True)
