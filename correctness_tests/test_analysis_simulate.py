"""The simulation judges as the judge does, and the promises hold in it."""

import math

import numpy as np
import pytest
from analysis_files import CONTROLS, MACHINE, analysis, duet, noise_floor, pair

from eagerbench.gate.judge import SUITE, judge, pairs_to_confirm
from eagerbench.gate.noise_models import BENCHES, MODELS, NULL, Noise, draw
from eagerbench.gate.simulate import EFFECTS, FLOORS, simulate
from eagerbench.gate.usual_rules import Gate, hochberg_rows, usual_rules
from eagerbench.results import fingerprint

multitest = pytest.importorskip("statsmodels.stats.multitest")  # the extra environments have none

NAMES = [f"b{index}" for index in range(BENCHES)]


def stage(name: str, heads: np.ndarray, nulls: np.ndarray, controls: np.ndarray, effect: float = 0.0,
          only: list[str] | None = None) -> dict:
    """A duet of one simulated suite: arrays are (benches, pairs). `only`: the benchmarks that are measured."""
    shift = np.zeros((len(heads), 1))
    shift[0] = math.log1p(effect)
    made = [pair(index, "head", {**dict(zip(NAMES, values, strict=True)), **dict(zip(CONTROLS, control, strict=True))})
            for index, (values, control) in enumerate(zip((heads + shift).T, controls.T, strict=False))]
    made += [pair(index, "null", dict(zip(NAMES, values, strict=True))) for index, values in enumerate(nulls.T)]
    for one in made:
        one["benchmarks"] = {bench: ratio for bench, ratio in one["benchmarks"].items()
                             if only is None or bench in (*only, *CONTROLS)}
    return duet(made, name)


@pytest.mark.parametrize("model", ["Gaussian", "bursts", "side bias"])
def test_simulated_gate_is_the_judge(model):
    """On random draws: the same benchmarks red, the same suspects, estimates and contamination."""
    draws = draw(model, np.random.default_rng(5), 8, Noise(0.015))
    floor, margin = FLOORS["this gate, floor 2%"]
    fast = Gate(draws).judge(floor, margin, 0.05)
    floors = _floors(floor, margin)
    reds = 0
    for suite in range(8):
        screen = stage("screen", draws.screen[suite], draws.null_screen[suite], draws.control_screen[suite], 0.05)
        verdict = judge([screen], floors)
        suspects = [entry["id"] for entry in verdict["benchmarks"] if entry["status"] == "SUSPECT"]
        assert fast.suspects[suite] == len(suspects)
        if suspects:
            pairs = pairs_to_confirm(len(suspects))
            assert verdict["next"]["pairs"] == pairs
            again = stage("confirm", draws.confirm[suite][:, :pairs], draws.null_confirm[suite],
                          draws.control_confirm[suite][:, :pairs], 0.05, verdict["next"]["benchmarks"])
            verdict = judge([screen, again], floors)
        found = {entry["id"]: entry for entry in verdict["benchmarks"]}
        red = [name for name, is_red in zip([*NAMES, SUITE], fast.red[suite], strict=True) if is_red]
        assert red == [name for name in [*NAMES, SUITE] if found[name]["status"] == "REGRESSED"]
        assert bool(fast.contaminated[suite]) == any(part["contaminated"] for part in verdict["stages"].values())
        assert math.exp(fast.estimate[suite]) == pytest.approx(found["b0"]["ratio"])
        assert math.exp(fast.low[suite]) == pytest.approx(found["b0"]["low"])
        assert math.exp(fast.high[suite]) == pytest.approx(found["b0"]["high"])
        reds += len(red)
    assert reds


def _floors(floor: float, margin: float) -> dict:
    changed = {name: {"floor": floor, "margin": margin} for name in [*NAMES, SUITE]}
    return noise_floor(changed, fingerprint.of(MACHINE), **changed)


def test_hochberg_of_rows():
    rng = np.random.default_rng(1)
    p_values = rng.random((50, 6)) ** 4
    p_values[rng.random((50, 6)) < 0.3] = np.nan
    found = hochberg_rows(p_values)
    for row, adjusted in zip(p_values, found, strict=True):
        present = ~np.isnan(row)
        assert (np.isnan(adjusted) == ~present).all()
        if present.any():
            assert adjusted[present] == pytest.approx(multitest.multipletests(row[present], method="simes-hochberg")[1])


def test_usual_rules_equal_scipy():
    from scipy import stats

    draws = draw("bimodal processes", np.random.default_rng(2), 2, Noise())
    found = usual_rules(draws, 0.03)
    for suite, bench in np.ndindex(2, BENCHES):
        base, head = draws.base[suite, bench], draws.head[suite, bench] + math.log(1.03)
        p = stats.mannwhitneyu(base, head, method="exact").pvalue
        assert found["benchstat"][suite, bench] == (p < 0.05 and np.median(head) > np.median(base))
        rounds, after = draws.base_rounds[suite, bench], draws.head_rounds[suite, bench] + math.log(1.03)
        p = stats.mannwhitneyu(rounds, after, method="exact").pvalue
        assert found["asv's test alone"][suite, bench] == (p < 0.002 and np.median(after) > np.median(rounds))


@pytest.mark.parametrize("model", MODELS)
def test_pairs_scatter_as_the_model_says(model):
    noise = Noise(0.01)
    draws = draw(model, np.random.default_rng(3), 300, noise)
    spread = draws.null_confirm.std()
    assert spread == pytest.approx(0.01, rel=0.05) or (model == "bursts" and spread > 0.01)
    assert draws.null_confirm.shape == (300, BENCHES, NULL)


def test_promises_hold_in_few_draws():
    """Quick, with room for chance; the slow test has the promised figures."""
    for model in MODELS:
        ours = simulate(model, 300, 7, Noise(0.01), usual=False)
        for rule, counts in ours.items():
            assert counts["false red"] <= 0.03, (model, rule)
    gaussian = simulate("Gaussian", 300, 7, Noise(0.01), usual=False)
    assert gaussian["this gate, floor 2%"]["power 0.03"] >= 0.9
    assert gaussian["this gate, floor 3%"]["power 0.05"] >= 0.95
    assert gaussian["this gate, floor 5%"]["power 0.1"] >= 0.98
    assert gaussian["this gate, floor 5%"]["covered 0.1"] >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_promises(model):
    """False reds, power where the floor is calibrated for it, specificity, estimate.

    What bursts and a side's bias take away is told in docs/gate-simulation.md: contaminated runs, and intervals that do
    not know the bias.
    """
    for rule, counts in simulate(model, 10_000, 1, Noise(0.01)).items():
        if rule not in FLOORS:
            assert "asv" in rule or counts["false red"] > 0.1  # why there is a gate
            continue
        assert counts["false red"] <= 0.01, rule
        for effect in EFFECTS:
            assert counts[f"others red {effect}"] <= 0.01, rule
            assert counts[f"near {effect}"] >= 0.99, rule
            assert counts[f"covered {effect}"] >= (0.7 if "bias" in model else 0.93), rule
        bursts = model == "bursts"
        assert counts["power 0.1"] >= (0.85 if bursts else 0.99), rule
        if rule != "this gate, floor 5%":
            assert counts["power 0.05"] >= (0.85 if bursts else 0.95), rule
        if rule == "this gate, floor 2%":
            assert counts["power 0.03"] >= 0.8, rule


def test_command(capsys, tmp_path):
    file = tmp_path / "table.md"
    code, out, err = analysis(capsys, "simulate", "--suites", "20", "--model", "Gaussian", "--summary-md", file)
    assert code == 0, err
    for text in (out, file.read_text()):
        assert "benchstat" in text
        assert "floor 5%" in text
    for arguments in (("--suites", "0"), ("--spread", "nan"), ("--spread", "-1"), ("--model", "none")):
        assert analysis(capsys, "simulate", *arguments)[0] == 2
