"""The verdict on duets: what changes nothing in it, and what turns it round."""

from types import SimpleNamespace

import numpy as np
import pytest
from analysis_files import duet, entries, pair
from hypothesis import given, settings
from hypothesis import strategies as st

from eagerbench.gate.duet_pair import _medians, _ratio
from eagerbench.gate.judge import SUITE, judge

logs = st.lists(st.lists(st.floats(-0.2, 0.2), min_size=6, max_size=12), min_size=1, max_size=3)


def of_logs(by_bench: list[list[float]], stage: str = "confirm") -> dict:
    count = min(map(len, by_bench))
    heads = [pair(index, "head", {f"b{bench}": values[index] for bench, values in enumerate(by_bench)})
             for index in range(count)]
    return duet(heads, stage)


@given(logs)
def test_swapping_the_sides_inverts_every_ratio(by_bench):
    forward = entries(judge([of_logs(by_bench)]))
    backward = entries(judge([of_logs([[-value for value in values] for values in by_bench])]))
    for bench, entry in forward.items():
        other = backward[bench]
        assert entry["ratio"] == pytest.approx(1 / other["ratio"])
        if entry["low"] is not None:
            assert (entry["low"], entry["high"]) == pytest.approx((1 / other["high"], 1 / other["low"]))


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
@settings(deadline=None, max_examples=30)
def test_scaling_both_sides_duplicating_rounds_and_permuting_them_change_nothing(seed, factor):
    """From the rounds that the sides send: they are no repetitions, however many there are."""
    rng = np.random.default_rng(seed)
    rounds = rng.lognormal(-4, 0.05, (10, 2, 3, 5))  # pairs, sides, turns, rounds of a turn
    once = judge([of_rounds(rounds)])["benchmarks"]
    assert judge([of_rounds(rng.permuted(np.concatenate([rounds, rounds], -1), axis=-1))])["benchmarks"] == once
    for entry, scaled in zip(once, judge([of_rounds(rounds * factor)])["benchmarks"], strict=True):
        assert [scaled[key] for key in ("ratio", "low", "high", "p")] == pytest.approx(
            [entry[key] for key in ("ratio", "low", "high", "p")], rel=1e-9)


def of_rounds(rounds: np.ndarray) -> dict:
    """The duet of what both sides of each pair send: seconds of shape (pairs, 2 sides, turns, rounds of a turn)."""
    heads = []
    for index, sides in enumerate(rounds):
        medians = [_medians(SimpleNamespace(name=name, hear=lambda *_, side=side: {"rounds": side.ravel().tolist()}),
                            "b0", *side.shape)[0] for name, side in zip(("base", "head"), sides, strict=True)]
        heads.append({**pair(index, "head", {}), "benchmarks": {"b0": _ratio(*medians)}})
    return duet(heads, "confirm")


@given(logs, st.randoms())
@settings(deadline=None, max_examples=50)
def test_order_of_pairs_changes_no_p(by_bench, random):
    content = of_logs(by_bench)
    shuffled = {**content, "pairs": random.sample(content["pairs"], len(content["pairs"]))}
    for bench, entry in entries(judge([content])).items():
        other = entries(judge([shuffled]))[bench]
        assert entry["p"] == pytest.approx(other["p"], abs=1e-12) or bench == SUITE
        assert entry["ratio"] == pytest.approx(other["ratio"])
