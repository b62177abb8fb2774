"""Where a series changed: what is flagged of flat ones, found of stepped ones, and how the numbers behave."""

from itertools import permutations

import numpy as np
import pytest

from eagerbench.history import changes
from scripts.docs import steps

RUNS, SPREAD, STEP = 45, 0.01, np.log(1.05)


def flat(rng: np.random.Generator, series: int, runs: int = RUNS, spread: float = SPREAD) -> list[np.ndarray]:
    return list(rng.normal(0, spread, (series, runs)))


def places(values: np.ndarray, **more) -> list[int]:
    return [change.at for change in changes.find([values], **more)[0]]


def flagged(seed: int, reports: int, series: int, spread: float = SPREAD) -> float:
    """Share of flat series with a change, in reports of so many."""
    rng = np.random.default_rng(seed)
    found = sum(bool(one) for _ in range(reports) for one in changes.find(flat(rng, series, spread=spread)))
    return found / (reports * series)


def found_and_false(seed: int, reports: int) -> tuple[float, float]:
    """Of reports of ten series, one of them with 40 runs before a step of 5 % and five after it: the share in which it
    is found, within a run, and the share with another change."""
    rng = np.random.default_rng(seed)
    found = false = 0
    for _ in range(reports):
        series = flat(rng, 10)
        series[3][40:] -= STEP
        answer = changes.find(series)
        found += any(abs(change.at - 40) <= 1 for change in answer.pop(3))
        false += any(answer)
    return found / reports, false / reports


def test_flat_series_are_not_flagged():
    """1,000 of them in reports of ten: at most one in a hundred."""
    assert flagged(1, 100, 10) <= 0.01


def test_a_step_of_five_percent_is_found_within_five_runs():
    found, false = found_and_false(2, 100)
    assert found >= 0.95
    assert false <= 0.02


@pytest.mark.parametrize("runs_after", [3, 4, 5])
def test_a_change_is_provisional_until_five_runs_later(runs_after):
    values = np.random.default_rng(3).normal(0, 0.005, 30 + runs_after)
    values[30:] -= 0.10
    (change,) = changes.find([values])[0]
    assert (change.at, change.after, change.provisional) == (30, runs_after, runs_after < 5)
    assert change.low < change.log_ratio < change.high
    assert abs(change.log_ratio + 0.10) < 0.02
    assert change.earliest <= 30 <= change.latest


def test_a_provisional_change_is_taken_back():
    """Three slow runs, and the next as before."""
    values = np.random.default_rng(4).normal(0, 0.005, 33)
    values[30:] -= 0.10
    assert places(values) == [30]
    assert places(np.append(values, np.zeros(6))) == []


def test_disturbed_runs_make_no_step():
    rng = np.random.default_rng(5)
    series = flat(rng, 60)
    for values in series:
        values[rng.integers(0, RUNS, 3)] += 0.5
    assert [found for found in changes.find(series) if found] == []


def test_two_steps_and_their_order():
    values = np.random.default_rng(6).normal(0, 0.01, 60)
    values[20:] += 0.08
    values[40:] -= 0.05
    assert [(change.at, change.before, change.after) for change in changes.find([values])[0]] == [
        (20, 20, 20), (40, 20, 20)]


def test_least_is_the_smallest_change():
    values = np.random.default_rng(7).normal(0, 0.001, 40)
    values[20:] += 0.015
    assert places(values) == []
    assert places(values, least=0.01) == [20]


def test_slower_and_faster_are_mirrored_and_scale_does_not_matter():
    rng = np.random.default_rng(8)
    series = flat(rng, 20)
    for values in series[::2]:
        values[30:] += 0.06
    found = changes.find(series)
    mirrored = changes.find([3 - values for values in series])
    assert [[one.at for one in changed] for changed in found] == [[one.at for one in changed] for changed in mirrored]
    for one, other in zip(sum(found, []), sum(mirrored, []), strict=True):  # noqa: RUF017
        assert one.log_ratio == pytest.approx(-other.log_ratio)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_too_short_equal_or_no_series():
    assert changes.find([]) == []
    assert changes.find([np.zeros(0), np.zeros(1), np.arange(7.0), np.ones(50)]) == [[], [], [], []]


def test_p_is_the_share_of_orders():
    """Against all orders of seven values."""
    values = np.array([0.1, -0.3, 0.2, 0.0, 1.1, 0.8, 1.3])
    size = changes._statistic(values, 2, 5)[0]
    every = [changes._statistic(np.array(order), 2, 5)[0] for order in permutations(values)]
    true = np.mean(np.array(every) >= size * (1 - 1e-9))
    (place,), (p,) = changes.strongest([values], [(2, 5)], 1e-6, np.random.default_rng(9))
    assert place == 4
    assert p == pytest.approx(true, abs=0.01 if true < 0.1 else 0.2)
    assert changes.bound(values, size, 2, 5) >= true


def test_the_bound_is_one():
    """No smaller than the share of random orders, of short and long series with a step; and small for a long one."""
    rng = np.random.default_rng(16)
    for runs, step in ((20, 0.02), (60, 0.03), (200, 0.01), (400, 0.006)):
        values = rng.normal(0, SPREAD, runs)
        values[runs // 2:] += step
        size = changes._statistic(values, 5, runs - 5)[0]
        share = np.mean([changes._statistic(rng.permutation(values), 5, runs - 5)[0] >= size for _ in range(500)])
        assert changes.bound(values, size, 5, runs - 5) >= share
    values = np.append(rng.normal(0, SPREAD, 500), rng.normal(STEP, SPREAD, 500))
    assert changes.bound(values, changes._statistic(values, 5, 995)[0], 5, 995) < 1e-9


def test_the_same_series_give_the_same_changes():
    series = flat(np.random.default_rng(10), 5)
    series[0][25:] += 0.05
    assert changes.find(series) == changes.find(series)


def test_beside_asv_and_otava_on_the_same_series():
    """No more false steps than either, and as many true ones where values are as disturbed as on machines."""
    for kind, group in steps.series().items():
        false = {name: sum(steps.false(one, name) for one in group) / len(group) for name in steps.PROGRAMS}
        found = {name: sum(steps.found(one, name) for one in group) / len(group) for name in steps.PROGRAMS}
        assert false[steps.OURS] <= 0.02, kind
        assert false[steps.OURS] <= min(false["asv"], false["otava"]) + 0.02, kind
        if group[0]["steps"]:
            assert found[steps.OURS] >= 0.9, kind


@pytest.mark.slow
def test_intervals_cover():
    """The size in 93 % of 1,000 series and more, and the place."""
    rng = np.random.default_rng(11)
    series = flat(rng, 1000, 60)
    for values in series:
        values[40:] -= STEP
    found = [one for changed in changes.find(series) for one in changed if abs(one.at - 40) <= 3]
    assert len(found) >= 990
    assert np.mean([one.low <= -STEP <= one.high for one in found]) >= 0.93
    assert np.mean([one.earliest <= 40 <= one.latest for one in found]) >= 0.93


@pytest.mark.slow
def test_flat_series_and_steps_in_large_numbers():
    """A report a flat series, a larger spread, 1,000 steps; and a report a night over 100 nights, of 100 series."""
    assert flagged(12, 1000, 1) <= 0.01
    assert flagged(13, 1000, 1, 3 * SPREAD) <= 0.01
    found, false = found_and_false(14, 1000)
    assert found >= 0.95
    assert false <= 0.01
    nights = flat(np.random.default_rng(15), 100, 110)
    reports = (changes.find([one[:night] for one in nights]) for night in range(10, 110))
    ever = {place for report in reports for place, changed in enumerate(report) if changed}
    assert len(ever) <= 2
