"""Turns and their statistics: counts and arithmetic, never a time."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eagerbench.measuring.turns import LEAST_PAIRS, MOST_PAIRS, TURN_S, Schedule, Turns, schedule, warm_up
from eagerbench.statistics import _interval_rank, paired_log_ratios, ratio_of_pairs

seconds = st.floats(1e-4, 20)


@given(variant_s=seconds, reference_s=seconds, budget_s=st.floats(0.1, 60))
def test_schedule_keeps_its_promises(variant_s, reference_s, budget_s):
    plan = schedule(variant_s, reference_s, budget_s)
    reference_turn = reference_s * (1 + math.ceil(TURN_S / reference_s))
    assert LEAST_PAIRS <= plan.pairs <= MOST_PAIRS
    assert plan.rounds_per_turn * variant_s >= min(TURN_S, 2000 * variant_s)
    whole = (plan.rounds_per_turn + 1) * variant_s
    assert reference_turn <= whole * (1 + 1e-9) or plan.rounds_per_turn == 2000


def test_turns_alternate_and_every_round_is_accounted_for():
    calls = []

    def reference():
        calls.append("r")
        time.sleep(0.02)  # a call that is free would fill a turn with millions

    turns = Turns(lambda: calls.append("v"), reference, Schedule(pairs=3, rounds_per_turn=3))
    rounds = []
    for _ in range(7):
        turns.before_round()
        turns.variant()
        rounds.append(1.0)
        turns.after_round()
    assert turns.variant_turns == [3, 3, 1]
    assert len(turns.reference_turns) == 3
    assert sum(turns.reference_turns) == len(turns.reference_rounds)
    runs = [(side, len(list(group))) for side, group in itertools.groupby(calls)]
    assert [side for side, _ in runs] == ["r", "v", "r", "v", "r", "v"]
    assert [count for side, count in runs if side == "v"] == [4, 4, 2]  # one untimed call before each turn
    assert [count for side, count in runs if side == "r"] == [n + 1 for n in turns.reference_turns]


def test_warm_up_counts_its_calls():
    calls = []
    warm = warm_up(lambda: calls.append(1), budget_s=1)
    assert warm.calls == len(calls) >= 2
    assert warm.call_s > 0


def test_paired_ratio_is_reference_over_variant():
    logs = paired_log_ratios([2, 2, 2, 4], [3, 1], [6, 8], [1, 1])
    assert [math.exp(value) for value in logs] == pytest.approx([3, 2])


def test_rounds_that_do_not_fill_the_turns_are_refused():
    with pytest.raises(ValueError, match="do not fill"):
        paired_log_ratios([1, 1], [3], [1], [1])


@settings(deadline=None)  # the first short list imports scipy
@given(st.lists(st.floats(-2, 2), min_size=2, max_size=30), st.floats(-1, 1))
def test_ratio_scales_and_inverts(logs, shift):
    ratio = ratio_of_pairs(logs)
    if ratio.low is None:
        assert len(set(logs)) == 1
        return
    moved = ratio_of_pairs([value + shift for value in logs])
    inverse = ratio_of_pairs([-value for value in logs])
    assert ratio.low <= ratio.value * (1 + 1e-9)
    assert ratio.value <= ratio.high * (1 + 1e-9)
    assert moved.value == pytest.approx(ratio.value * math.exp(shift))
    assert (inverse.low, inverse.value, inverse.high) == pytest.approx((1 / ratio.high, 1 / ratio.value, 1 / ratio.low))


@pytest.mark.parametrize("pairs", [3, 5, 6, 9])
def test_interval_covers_the_truth_at_least_as_often_as_it_says(pairs):
    rng = np.random.default_rng(pairs)
    found = [ratio_of_pairs(rng.normal(0.1, 0.05, pairs)) for _ in range(3000)]
    covered = sum(ratio.low <= math.exp(0.1) <= ratio.high for ratio in found) / len(found)
    assert 0.94 < covered < 0.985


@pytest.mark.parametrize("pairs", range(1, 11))
def test_interval_rank_equals_brute_force(pairs):
    """Over all sign patterns: how often the signed-rank sum stays below the rank."""
    sums = [sum(rank for rank, sign in enumerate(signs, 1) if sign)
            for signs in itertools.product((0, 1), repeat=pairs)]
    rank = _interval_rank(pairs, 0.95)
    assert sum(value < rank for value in sums) / len(sums) <= 0.025
    assert sum(value <= rank for value in sums) / len(sums) > 0.025


def test_one_burst_hardly_moves_the_estimate():
    steady = list(np.log([1.1, 1.11, 1.09, 1.1, 1.12, 1.1, 1.08, 1.1]))
    assert ratio_of_pairs([*steady, math.log(0.3)]).value == pytest.approx(1.1, abs=0.01)


def test_one_pair_has_no_interval():
    assert ratio_of_pairs([0.5]).low is None
