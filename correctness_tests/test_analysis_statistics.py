"""Exact tests against enumeration, scipy and statsmodels."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from eagerbench.statistics import (
    exact_interval,
    hochberg,
    lower_bound,
    pair_averages,
    rank_sum_chances,
    rank_sum_p,
    shift_interval,
    signed_rank_p,
)

multitest = pytest.importorskip("statsmodels.stats.multitest")  # the extra environments have none

few = st.lists(st.integers(-6, 6), min_size=1, max_size=9)  # whole numbers: ties and zeros are frequent
values = st.lists(st.floats(-1, 1).filter(lambda value: abs(value) > 1e-6), min_size=5, max_size=14, unique_by=abs)


@given(few)
def test_signed_rank_p_equals_brute_force(numbers):
    """Every sign of the same magnitudes, with the magnitudes' mean ranks."""
    kept = [number for number in numbers if number]
    ranks = stats.rankdata(np.abs(kept)) if kept else []
    observed = sum(rank for rank, number in zip(ranks, kept, strict=True) if number > 0)
    sums = [sum(rank for rank, up in zip(ranks, signs, strict=True) if up)
            for signs in itertools.product((0, 1), repeat=len(kept))]
    assert signed_rank_p(numbers) == pytest.approx(np.mean([value >= observed for value in sums]), abs=1e-12)


@settings(deadline=None)
@given(values)
def test_signed_rank_p_equals_scipy(numbers):
    expected = stats.wilcoxon(numbers, alternative="greater", method="exact").pvalue
    assert signed_rank_p(numbers) == pytest.approx(expected, abs=1e-12)


@given(few.filter(lambda numbers: len(numbers) > 3), few)
def test_rank_sum_p_equals_brute_force(old, new):
    old, new = old[:5], new[:4]
    ranks = stats.rankdata([*old, *new])
    observed = ranks[len(old):].sum()
    sums = [sum(choice) for choice in itertools.combinations(ranks, len(new))]
    expected = np.mean([value >= observed - 1e-9 for value in sums])
    assert rank_sum_p(old, new) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(values, values)
def test_rank_sum_p_equals_scipy(old, new):
    new = [number + 3e-7 for number in new]
    assume(len({*old, *new}) == len(old) + len(new))
    expected = stats.mannwhitneyu(new, old, alternative="greater", method="exact").pvalue
    assert rank_sum_p(old, new) == pytest.approx(expected, abs=1e-12)


def test_rank_sum_p_of_large_samples():
    rng = np.random.default_rng(1)
    old, new = rng.normal(0, 1, 80), rng.normal(0.3, 1, 80)
    expected = stats.mannwhitneyu(new, old, alternative="greater", method="exact").pvalue
    assert rank_sum_p(old, new) == pytest.approx(expected, rel=0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_hochberg_equals_statsmodels(p_values):
    expected = multitest.multipletests(p_values, method="simes-hochberg")[1]
    assert hochberg(p_values) == pytest.approx(list(expected), abs=1e-12)


@given(values, st.sampled_from([0.05, 0.01, 0.001]))
def test_lower_bound_is_where_the_test_stops_rejecting(numbers, alpha):
    bound = lower_bound(numbers, alpha)
    smallest = 2.0 ** -len(numbers)
    assert (bound is None) == (smallest > alpha)
    if bound is None:
        return
    gaps = np.diff(pair_averages(numbers))
    step = min([gap for gap in gaps if gap > 0], default=1.0) / 4
    if step > 1e-12:
        assert signed_rank_p(np.array(numbers) - (bound - step)) <= alpha
        assert signed_rank_p(np.array(numbers) - (bound + step)) > alpha


@pytest.mark.parametrize("sizes", [(7, 7), (8, 10)])
def test_shift_interval_covers(sizes):
    rng = np.random.default_rng(sizes[0])
    found = [shift_interval(rng.normal(0, 1, sizes[0]), rng.normal(0.5, 1, sizes[1])) for _ in range(2000)]
    assert 0.94 < np.mean([low <= 0.5 <= high for _, low, high in found]) < 0.985


def test_shift_interval_of_large_samples():
    """At 101 values the approximation lies where the exact interval would; 2,000 values are as quick."""
    rng = np.random.default_rng(2)
    old, new = rng.normal(0, 1, 51), rng.normal(0.5, 1, 50)
    differences = np.sort(np.subtract.outer(new, old), axis=None)
    exact = int(np.searchsorted(np.cumsum(rank_sum_chances(51, 50)), 0.025, side="right"))
    _, low, high = shift_interval(old, new)
    assert abs(np.searchsorted(differences, low) + 1 - exact) <= 2
    assert np.searchsorted(differences, low) == len(differences) - 1 - np.searchsorted(differences, high)
    estimate, low, high = shift_interval(rng.normal(0, 1, 1000), rng.normal(0.5, 1, 1000))
    assert low < 0.5 < high
    assert high - low < 0.25
    assert estimate == pytest.approx(0.5, abs=0.1)


def test_too_few_values_have_no_interval():
    assert exact_interval([1.0, 2.0, 3.0]) == (2.0, None, None)
    assert shift_interval([1.0, 2.0], [2.0, 3.0]) == (1.0, None, None)
