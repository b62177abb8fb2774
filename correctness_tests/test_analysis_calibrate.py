"""Calibrating: which floor same-code duets allow, and which files are none."""

import json

import pytest
from analysis_files import MACHINE, analysis, drawn, saved

from eagerbench.results import fingerprint


def same_code(seed: int, **changes) -> dict:
    content = drawn(seed, {}, pairs=10, **changes)
    return {**content, "head": content["base"]}


def calibrated(tmp_path, capsys, duets: list[dict]) -> tuple[int, dict, str]:
    files = [saved(tmp_path, f"duet{index}.json", content) for index, content in enumerate(duets)]
    output = tmp_path / "noise-floor.json"
    code, _, err = analysis(capsys, "calibrate", *files, "-o", output)
    return code, json.loads(output.read_text()) if code == 0 else {}, err


@pytest.mark.parametrize(("spread", "floor"), [(0.006, 0.02), (0.0138, 0.03), (0.025, 0.05), (0.06, None)])
def test_calibrated_floor_follows_the_spread(tmp_path, capsys, spread, floor):
    code, content, _ = calibrated(tmp_path, capsys, [same_code(seed, spread=spread, benches=1) for seed in range(12)])
    assert code == 0
    entry = content["benchmarks"]["b0"]
    assert entry["spread"] == pytest.approx(spread, rel=0.15)
    assert (entry["floor"], entry["duets"], entry["pairs"]) == (floor, 12, 168)
    assert entry["process_spread"] < 1e-12  # the base's times are the same in every pair of these files
    assert [part["file"] for part in content["provenance"]] == [f"duet{index}.json" for index in range(12)]
    assert all(len(part["sha256"]) == 64 for part in content["provenance"])
    assert content["machine"] == fingerprint.of(MACHINE)


def test_one_session_is_not_enough_for_a_low_floor_and_a_bias_raises_it(tmp_path, capsys):
    alone = calibrated(tmp_path, capsys, [same_code(1, spread=0.002)])[1]["benchmarks"]
    assert alone["b0"]["floor"] == 0.05
    assert {"suite/geometric-mean", "b0"} < alone.keys()
    biased = [drawn(seed, dict.fromkeys(("b0", "b1"), bias), pairs=10, null_pairs=0, spread=0.002, benches=2)
              for seed, bias in enumerate((0.008, -0.008, 0.0, 0.005))]
    entry = calibrated(tmp_path, capsys, [{**content, "head": content["base"]} for content in biased])[1]
    assert entry["benchmarks"]["b0"]["spread"] < 0.004
    assert entry["benchmarks"]["b0"]["spread_between_duets"] == pytest.approx(0.007, abs=0.002)
    assert entry["benchmarks"]["b0"]["floor"] == 0.05


def test_calibrate_takes_null_arms_only_where_the_code_differs(tmp_path, capsys):
    content = calibrated(tmp_path, capsys, [drawn(1, {"b0": 0.5}, pairs=20, null_pairs=8)])[1]
    assert content["benchmarks"]["b0"]["pairs"] == 8
    assert content["benchmarks"]["b0"]["median_ratio"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("duets", "says"), [
    ([drawn(1, {}, null_pairs=0)], "no valid pair of the same code"),
    ([same_code(1), same_code(2, machine_info={**MACHINE, "threads": 1})], "another machine than"),
    ([same_code(1), same_code(1)], "the same file twice"),
    ([drawn(1, {}, null_pairs=2)], "no benchmark has 6 pairs of the same code"),
])
def test_calibrate_refuses(tmp_path, capsys, duets, says):
    code, _, err = calibrated(tmp_path, capsys, duets)
    assert code == 2
    assert says in err
