"""Parts of a run: how jobs are numbered, how cases are spread, and that the parts are the whole."""

import json
from types import SimpleNamespace

import pytest
from analysis_files import analysis, saved
from fuzzing import DATA, as_saved_today
from running import run_pytest

from eagerbench import shard, shard_parts
from eagerbench.errors import BadInput
from eagerbench.results import records, shards

SLURM = {"SLURM_ARRAY_TASK_ID": "30", "SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_MAX": "40",
         "SLURM_ARRAY_TASK_COUNT": "4"}


@pytest.mark.parametrize(("text", "environment", "found"), [
    ("2/5", {}, "2/5"), ("1/1", {}, "1/1"),
    ("auto", {"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "4"}, "1/4"),
    ("auto", {"STRATEGY_JOB_INDEX": "0", "STRATEGY_JOB_TOTAL": "4"}, "1/4"),
    ("auto", {"JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "4"}, "4/4"),
    ("auto", {"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "2"}, "1/2"),
    ("auto", {"BUILDKITE_PARALLEL_JOB": "1", "BUILDKITE_PARALLEL_JOB_COUNT": "2"}, "2/2"),
    ("auto", SLURM, "3/4"),
    ("auto", {**SLURM, "SLURM_ARRAY_TASK_ID": "10"}, "1/4"),
    ("auto", {**SLURM, "CI_NODE_INDEX": "3", "CI_NODE_TOTAL": "4"}, "3/4"),
])
def test_numbers_of_jobs(text, environment, found):
    assert str(shard.parse(text, environment)) == found


@pytest.mark.parametrize(("text", "environment", "said"), [
    ("0/5", {}, "part 0 of 5"), ("6/5", {}, "part 6 of 5"), ("half", {}, "expected K/N"), ("1/99999", {}, "at most"),
    ("auto", {}, "none of STRATEGY_JOB_INDEX"),
    ("auto", {"JOB_COMPLETION_INDEX": "3"}, "JOB_COMPLETIONS is not; set it"),
    ("auto", {"CI_NODE_INDEX": "0", "CI_NODE_TOTAL": "4"}, "part 0 of 4"),
    ("auto", {"CI_NODE_INDEX": "x", "CI_NODE_TOTAL": "4"}, "is no number"),
    ("auto", {"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_MIN is not"),
    ("auto", {**SLURM, "SLURM_ARRAY_TASK_ID": "15"}, "not evenly numbered"),
    ("auto", {**SLURM, "CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "4"}, "two systems number this job"),
])
def test_jobs_that_have_no_number(text, environment, said):
    with pytest.raises(BadInput, match=said):
        shard.parse(text, environment)


def cases(count: int, variants: int = 4) -> list:
    from eagerbench import backends

    found = []
    for index in range(count):
        variant, _ = backends.variants()[list(backends.variants())[index % variants]]
        found.append(SimpleNamespace(id=f"c{index}", bench_id=f"m/c{index}/x/cpu", model=SimpleNamespace(name="m"),
                                     variant=variant, experiment="latency", workload=f"w{index}"))
    return found


def test_groups_stay_together_and_loads_are_even():
    given = cases(40)
    parts = shard_parts.parts(given, 2, {case.bench_id: 1.0 for case in given}, 1.0)
    assert set(parts) == {case.id for case in given}
    assert sorted(list(parts.values()).count(number) for number in (1, 2)) == [20, 20]
    homes = {case.variant.name: {parts[one.id] for one in given if one.variant == case.variant} for case in given}
    assert all(len(home) == 1 for home in homes.values())


def test_what_took_long_gets_a_part_of_its_own():
    given = cases(12)
    seconds = {case.bench_id: 100.0 if case.id == "c5" else 1.0 for case in given}
    parts = shard_parts.parts(given, 3, seconds, 1.0)
    loads = [sum(seconds[case.bench_id] for case in given if parts[case.id] == number) for number in (1, 2, 3)]
    assert max(loads) <= 103
    assert shard_parts.digest(parts) == shard_parts.digest(shard_parts.parts(given, 3, seconds, 1.0))
    assert set(shard_parts.parts(given, 12, seconds, 1.0).values()) == set(range(1, 13))
    with pytest.raises(BadInput, match="only 12 cases are selected; use 12 parts at most"):
        shard_parts.parts(given, 13, seconds, 1.0)


def part(number: int, of: int = 3, plan: str = "p") -> dict:
    return {"shard": {"number": number, "of": of, "plan": plan}}


def test_parts_that_do_not_belong_together():
    assert shards.problems({"a": {}, "b": {}}) == ([], [])
    assert shards.problems({"a": part(1), "b": part(3)}) == ([], ["part 2/3 is lost: its file is not among these"])
    assert shards.problems({"a": part(1), "b": part(2), "c": part(3)}) == ([], [])
    assert "part 1/3 is in a too" in shards.problems({"a": part(1), "b": part(1)})[0][0]
    assert "of another run than a" in shards.problems({"a": part(1), "b": part(2, plan="q")})[0][0]
    assert shards.problems({"a": part(4)})[0] == ["a: its shard is no part of a run"]


def in_parts(directory, content: dict, of: int) -> list:
    """Files as the parts of a run leave them: every third cell is of part 3, and so on."""
    cells = content["eagerbench"]["cells"]
    home = {cell["bench_id"]: 1 + place % of for place, cell in enumerate(cells)}
    files = []
    for number in range(1, of + 1):
        here = [bench for bench in content["benchmarks"] if home.get(records.identity(bench), 1) == number]
        seen = [cell if home[cell["bench_id"]] == number or cell["status"] == "skipped" else
                {**cell, "status": "not run", "reason": f"in part {home[cell['bench_id']]}/{of}"} for cell in cells]
        ours = {**content["eagerbench"], "cells": seen, **part(number, of)}
        files.append(saved(directory, f"part-{number}.json", {**content, "benchmarks": here, "eagerbench": ours}))
    return files


@pytest.fixture
def whole():
    content = as_saved_today(json.loads(DATA.read_text(encoding="utf-8")))
    places = {cell["bench_id"]: place for place, cell in enumerate(content["eagerbench"]["cells"])}
    content["benchmarks"].sort(key=lambda bench: places.get(records.identity(bench), -1))
    return content


def test_the_parts_are_the_whole(whole, tmp_path, capsys):
    files = in_parts(tmp_path, whole, 3)
    code, _, err = analysis(capsys, "merge", *files[::-1], "-o", tmp_path / "merged.json")
    assert (code, err) == (0, "")
    merged = json.loads((tmp_path / "merged.json").read_text())
    assert merged["benchmarks"] == whole["benchmarks"]
    assert merged["eagerbench"]["cells"] == whole["eagerbench"]["cells"]
    assert merged["eagerbench"].keys() == whole["eagerbench"].keys()


def test_a_lost_part_is_named(whole, tmp_path, capsys):
    first, lost, last = in_parts(tmp_path, whole, 3)
    code, _, err = analysis(capsys, "merge", first, last, "-o", tmp_path / "merged.json")
    assert code == 4
    assert "part 2/3 is lost" in err
    names = [cell["bench_id"] for cell in json.loads(lost.read_text())["eagerbench"]["cells"]
             if cell["status"] in ("timed", "failed")]
    assert names
    assert all(f"not measured: {bench} (in part 2/3)" in err for bench in names)


CHOSEN = ("--model", "tiny-bert", "--variant", "eager", "--variant", "sdpa", "--variant", "torchscript",
          "--batch-sizes", "1,2", "--sequence-lengths", "8", "--time-budget", "0.1", "--peaks", "here")
TESTS = ("perf_tests/test_latency.py", "perf_tests/test_control.py")


def test_a_part_lists_its_cases(monkeypatch):
    """Those that the library gives it, in the order of the plan."""
    monkeypatch.setenv("CI_NODE_INDEX", "2")
    monkeypatch.setenv("CI_NODE_TOTAL", "2")
    listed = run_pytest(*TESTS, *CHOSEN, "--list-cases", "--shard", "auto")
    assert listed.code == 0, listed.out + listed.err
    names = [line.split()[1] for line in listed.out.splitlines() if line.startswith("latency ")]
    assert len(names) in (2, 4)
    assert len({name.split("/")[1] for name in names}) == len(names) / 2


@pytest.mark.slow
def test_a_run_in_parts(tmp_path, capsys):
    """A run of six cases, and the same in two parts, balanced by its seconds."""
    def ran(name: str, *more: object):
        file = tmp_path / f"{name}.json"
        ended = run_pytest(*TESTS, *CHOSEN, "--benchmark-only", "--benchmark-json", str(file), *map(str, more))
        assert ended.code == 0, ended.out + ended.err
        return file

    one = ran("whole")
    parts = [ran(f"part-{number}", "--shard", f"{number}/2", "--shard-times", one) for number in (1, 2)]
    assert analysis(capsys, "merge", *parts, "-o", tmp_path / "merged.json")[0] == 0
    before, after = (json.loads(file.read_text()) for file in (one, tmp_path / "merged.json"))
    names = [[records.identity(bench) for bench in content["benchmarks"]] for content in (before, after)]
    assert sorted(names[0]) == sorted(names[1])
    assert [name for name in names[0] if "control" not in name] == [name for name in names[1] if "control" not in name]
    cells = [[(cell["bench_id"], cell["status"], cell["reason"]) for cell in content["eagerbench"]["cells"]]
             for content in (before, after)]
    assert cells[0] == cells[1]
    assert before["eagerbench"].keys() == after["eagerbench"].keys()
    assert all(cell["seconds"] > 0 for cell in before["eagerbench"]["cells"] if cell["status"] == "timed")
    code, _, err = analysis(capsys, "merge", one, parts[0], "-o", tmp_path / "twice.json")
    assert (code, "is in" in err) == (2, True)
