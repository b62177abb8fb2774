"""Machines side by side: known by what they are, ranked each for itself, and how far the rankings agree."""

import math

import numpy as np
import pytest
from analysis_files import analysis
from fuzzing import html_problems
from made_history import XEON, kept, made
from running import ROOT

from eagerbench.fleet import agreement, machines, tables

PLACE = ("m", "b8/s128/cpu")
ZEN_RATIOS = {"eager": 1.0, "onnxruntime": 1.9, "openvino": 2.4, "openvino-bf16": 2.2, "sdpa": 1.05, "int8": 6.0}
XEON_RATIOS = {"eager": 1.0, "onnxruntime": 1.1, "openvino": 1.2, "openvino-bf16": 5.6, "sdpa": 0.95, "int8": 4.0}


def ratios(by_variant: dict[str, float]) -> dict[str, float]:
    return {f"m/{variant}/b8/s128/cpu": ratio for variant, ratio in by_variant.items()}


@pytest.fixture
def folder(tmp_path):
    return kept(tmp_path / "fleet", [made(0, ratios({"eager": 1.0, "sdpa": 9.0})), made(1, ratios(ZEN_RATIOS)),
                                     made(2, ratios(XEON_RATIOS), XEON)])


def test_a_fleet(folder, capsys, tmp_path):
    code, out, _ = analysis(capsys, "fleet", folder, "-o", tmp_path / "fleet.html", "--price", "zen=0.36", "--price",
                            "Xeon=0.72")
    said = " ".join(out.split())
    assert code == 0
    assert "2 machines, 6 variants: on 1 of 1 shared workload the fastest variant is not the same everywhere" in said
    html = (tmp_path / "fleet.html").read_text()
    assert list(html_problems(html)) == []
    for what in ("alone has amx_tile, amx_bf16", "USD per million calls", "Does the ranking travel?", "int8 6.00×"):
        assert what in html, what


def test_tables_of_two_machines():
    fleet = machines.of_entries([made(0, ratios({"eager": 1.0, "sdpa": 9.0})), made(1, ratios(ZEN_RATIOS)),
                                 made(2, ratios(XEON_RATIOS), XEON)])
    zen, xeon = fleet
    assert zen.points[PLACE]["sdpa"].ratio == 1.05  # of the newer run
    found = {grid.title.partition(":")[0]: grid for grid in tables.grids(fleet, {zen.kind: 0.36, xeon.kind: 0.72})}
    assert [row[2] for row in found["Who wins where"].rows] == ["int8 6.00×", "openvino-bf16 5.60×"]
    moved = found["What does not travel"].rows[0]
    assert moved[0] == "openvino-bf16"
    assert moved[-1] == f"{xeon.kind} alone has amx_tile, amx_bf16; torch 2.12.0, 2.13.0"
    cost = {row[0]: row[1:] for row in found["USD per million calls"].rows}
    assert cost["int8"] == ["0.167 ★", "0.500"]  # 10 ms / 6 of 0.36 USD an hour
    (row,) = found["Does the ranking travel?"].rows
    assert row[3:4] == ["6"]
    assert row[4].startswith("0.60 [")


def test_equal_machines_are_one():
    fleet = machines.of_entries([made(0, ratios(ZEN_RATIOS)), made(1, ratios(ZEN_RATIOS))])
    assert [(one.runs, len(one.points[PLACE])) for one in fleet] == [(2, 6)]
    titles = [grid.title for grid in tables.grids(fleet)]
    assert "no workload was measured on two machines" in titles[0]
    assert "Does the ranking travel?" not in titles


@pytest.mark.parametrize(("price", "said"), [("arm=1", "no machine has this name"), ("Made=1", "2 machines have"),
                                             ("Zen", "expected NAME=USD_PER_HOUR"), ("Zen=free", "expected NAME"),
                                             ("Zen=-1", "expected NAME"), ("Zen=nan", "expected NAME")])
def test_a_price_names_one_machine(folder, capsys, price, said):
    code, _, err = analysis(capsys, "fleet", folder, "--price", price)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_tau():
    up = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    value, low, high = agreement.tau(up, up)
    assert (pytest.approx(value), high) == (1.0, 1.0)
    assert 0.4 < low < 1
    value, low, high = agreement.tau(up, up[::-1])
    assert (pytest.approx(value), low) == (-1.0, -1.0)
    assert high < 0
    assert agreement.tau(up[:4], up[:4])[1:] == (None, None)
    assert math.isnan(agreement.tau([1.0, 1.0], [1.0, 2.0])[0])


def test_the_interval_of_tau_covers():
    """Of 400 draws of twelve variants whose true tau is 0.5, in 92 % and more."""
    rng = np.random.default_rng(1)
    correlation = math.sin(math.pi / 4)
    covered = 0
    for _ in range(400):
        first, noise = rng.normal(size=(2, 12))
        _, low, high = agreement.tau(first, correlation * first + math.sqrt(1 - correlation**2) * noise)
        covered += low <= 0.5 <= high
    assert covered >= 368


def test_the_machines_that_are_kept(capsys):
    """The compact files in docs are read, and name no host."""
    folder = ROOT / "docs" / "results" / "machines"
    code, out, _ = analysis(capsys, "fleet", folder)
    assert code == 0
    assert "machine" in out
    assert all('"node"' not in file.read_text() for file in folder.rglob("*.json"))
