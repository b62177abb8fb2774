"""Statistics of repeated measurements.

The exact tests are our own few lines: they hold where values are tied, for any number of pairs, and a verdict starts
without the second that importing scipy takes. Tests compare them with scipy, statsmodels and enumeration.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist, median

import numpy as np

_MOST_EXACT = 100  # values of both samples together
_MOST_DIFFERENCES = 2**15  # between values of two samples, that are made at once


@dataclass(frozen=True)
class Ratio:
    """A ratio of times with its confidence interval; `low` and `high` are None when one pair gives none."""

    value: float
    low: float | None
    high: float | None
    pairs: int


WIDEST = 1.5  # high over low of an interval from which on a ratio says nothing


def says_nothing(low: float | None, high: float | None) -> bool:
    """Whether an interval is so wide that the ratio in it tells nothing, or is missing."""
    return low is None or high is None or low <= 0 or high / low > WIDEST


def paired_log_ratios(rounds: Sequence[float], turns: Sequence[int], reference_rounds: Sequence[float],
                      reference_turns: Sequence[int]) -> list[float]:
    """log(median reference round / median variant round) of each pair of turns.

    Args:
        rounds, reference_rounds: seconds of every round, in order.
        turns, reference_turns: number of rounds in each turn, in order.
    """
    pairs = zip(_turn_medians(reference_rounds, reference_turns), _turn_medians(rounds, turns), strict=True)
    return [math.log(reference / variant) for reference, variant in pairs]


def ratio_of_pairs(log_ratios: Sequence[float], confidence: float = 0.95) -> Ratio:
    """The ratio that pairs of turns show, with an interval of at least `confidence`.

    From as many pairs as an exact interval needs (six at 95 %): the Hodges–Lehmann estimate, the median of all
    averages of two log ratios, with its exact signed-rank interval; bursts of a noisy machine hardly move it
    (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.2 and 3.3). From fewer: the mean with
    Student's interval. Both cover what varied within this process; another process of the same code differs by
    more (docs/method.md).
    """
    logs = np.asarray(log_ratios, float)
    if _interval_rank(len(logs), confidence):
        found = exact_interval(logs, confidence)
    elif len(logs) > 1 and np.ptp(logs) > 0:
        from scipy.special import stdtrit  # Student's quantile; scipy.stats would take half a second to import

        half = stdtrit(len(logs) - 1, (1 + confidence) / 2) * logs.std(ddof=1) / math.sqrt(len(logs))
        found = logs.mean(), logs.mean() - half, logs.mean() + half
    else:
        return Ratio(math.exp(logs.mean()), None, None, len(logs))
    return Ratio(*(math.exp(value) for value in found), pairs=len(logs))


def pair_averages(values: Sequence[float]) -> np.ndarray:
    """All averages of two values, each with itself too, sorted: n (n + 1) / 2 of them (Walsh averages)."""
    array = np.asarray(values, float)
    first, second = np.triu_indices(len(array))
    return np.sort((array[first] + array[second]) / 2)


def exact_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float | None, float | None]:
    """Hodges–Lehmann estimate and exact signed-rank interval; both bounds are None where too few values give none."""
    averages = pair_averages(values)
    rank = _interval_rank(len(values), confidence)
    estimate = float(np.median(averages))
    return (estimate, float(averages[rank - 1]), float(averages[-rank])) if rank else (estimate, None, None)


def lower_bound(values: Sequence[float], alpha: float) -> float | None:
    """The largest slowdown that the one-sided signed-rank test rejects at `alpha`; None when it can reject none."""
    rank = _interval_rank(len(values), 1 - 2 * alpha)
    return float(pair_averages(values)[rank - 1]) if rank else None


def signed_rank_p(values: Sequence[float]) -> float:
    """Exact one-sided p of Wilcoxon's signed-rank test that the values lie above 0.

    Zeros are left out, tied values share their mean rank, and all 2ⁿ signs of those very ranks are counted
    (Hollander, Wolfe and Chicken, 3.1). 1.0 when nothing is left.
    """
    array = np.asarray(values, float)
    array = array[array != 0]
    if not len(array):
        return 1.0
    doubled = _doubled_ranks(np.abs(array))
    chances = _subset_sums(tuple(sorted(doubled)))
    return float(min(1.0, chances[doubled[array > 0].sum():].sum()))


def rank_sum_p(old: Sequence[float], new: Sequence[float]) -> float:
    """Exact one-sided p of the Mann–Whitney test that `new` lies above `old`, ties at their mean rank.

    Above 100 values in all the normal approximation with its corrections for ties and continuity, which is as good
    there (Hollander, Wolfe and Chicken, 4.1).
    """
    both = np.concatenate([np.asarray(old, float), np.asarray(new, float)])
    doubled = _doubled_ranks(both)
    if len(both) > _MOST_EXACT:
        return _normal_rank_sum_p(both, doubled[len(old):].sum() / 2, len(old), len(new))
    chances = _choice_sums(tuple(sorted(doubled)), len(new))
    return float(min(1.0, chances[doubled[len(old):].sum():].sum()))


def _normal_rank_sum_p(both: np.ndarray, rank_sum: float, old: int, new: int) -> float:
    ties = np.unique(both, return_counts=True)[1].astype(float)
    size = old + new
    variance = old * new / 12 * (size + 1 - ((ties**3 - ties).sum() / (size * (size - 1))))
    above = rank_sum - new * (new + 1) / 2 - old * new / 2 - 0.5
    return math.erfc(above / math.sqrt(2 * variance)) / 2 if variance > 0 else 1.0


def rank_sum_chances(old: int, new: int) -> np.ndarray:
    """The chance that u of the old × new differences are above 0, for every u, when both are of one kind."""
    return _choice_sums(tuple(range(1, old + new + 1)), new)[new * (new + 1) // 2:]


def signed_rank_chances(pairs: int) -> np.ndarray:
    """The chance that t of the averages of two values are above 0, for every t, when they are symmetric about 0."""
    return _subset_sums(tuple(range(1, pairs + 1)))


def shift_interval(old: Sequence[float], new: Sequence[float],
                   confidence: float = 0.95) -> tuple[float, float | None, float | None]:
    """How far `new` lies above `old`: the median of all differences, with its exact rank-sum interval (Hollander,
    Wolfe and Chicken, 4.2 and 4.3; above 100 values in all their approximation for large samples, which is as good
    there and takes no table of size × sums). The bounds are None where too few values give none."""
    rank, count = _shift_rank(len(old), len(new), confidence), len(old) * len(new)
    wanted = [(count - 1) // 2, count // 2, *([rank - 1, count - rank] if rank else [])]
    below, above, *bounds = _of_differences(np.asarray(old, float), np.asarray(new, float), wanted)
    return ((below + above) / 2, *bounds) if rank else ((below + above) / 2, None, None)


def _of_differences(old: np.ndarray, new: np.ndarray, wanted: Sequence[int]) -> list[float]:
    """The differences new − old at these places of their order, from 0."""
    if len(old) * len(new) <= _MOST_DIFFERENCES:
        every = np.subtract.outer(new, old).ravel()
        every.partition(sorted(set(wanted)))
        return [float(every[place]) for place in wanted]
    old, new = np.sort(old), np.sort(new)
    return [_of_many_differences(old, new, place) for place in wanted]


def _of_many_differences(old: np.ndarray, new: np.ndarray, place: int) -> float:
    """The same of sorted values, one place, without making all differences: by halving the range that it lies in, until
    few are left in it (Monahan, ACM Transactions on Mathematical Software 10, 1984)."""
    low, high = new[0] - old[-1], new[-1] - old[0]
    first, last = np.zeros(len(new), int), np.full(len(new), len(old))  # of each new value, the old ones left
    while (last - first).sum() > _MOST_DIFFERENCES:
        middle = low + (high - low) / 2
        if not low < middle < high:
            return float(middle)
        cut = np.searchsorted(old, new - middle, side="left")  # old values from there on give `middle` at most
        if (len(old) - cut).sum() > place:
            high, first = middle, np.maximum(cut - 1, 0)  # one more: the cut is rounded
        else:
            low, last = middle, np.minimum(cut + 1, len(old))
    counts = last - first
    of_old = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
    left = np.repeat(new, counts) - old[of_old]
    nth = place - int((len(old) - last).sum())
    left.partition(nth)
    return float(left[nth])


def hochberg(p_values: Sequence[float]) -> list[float]:
    """p adjusted for testing all of them at once by Hochberg's step-up procedure (Biometrika 75, 1988)."""
    p = np.asarray(p_values, float)
    order = np.argsort(-p, kind="stable")
    adjusted = np.minimum.accumulate(p[order] * np.arange(1, len(p) + 1))
    found = np.empty(len(p))
    found[order] = adjusted
    return [float(value) for value in np.minimum(found, 1.0)]


@cache
def _shift_rank(old: int, new: int, confidence: float) -> int:
    """How many of the smallest differences lie below the interval, plus one; 0 when no interval exists."""
    if old + new > _MOST_EXACT:
        half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(old * new * (old + new + 1) / 12)
        return max(0, math.floor(old * new / 2 - half))
    below = np.cumsum(rank_sum_chances(old, new))
    return int(np.searchsorted(below, (1 - confidence) / 2, side="right"))


@cache
def _interval_rank(pairs: int, confidence: float) -> int:
    """How many of the smallest averages lie below the interval, plus one; 0 when no exact interval exists.

    From the null distribution of the signed-rank statistic: sums of subsets of 1…n, all 2ⁿ equally likely.
    """
    below = np.cumsum(signed_rank_chances(pairs))
    return int(np.searchsorted(below, (1 - confidence) / 2, side="right"))


@cache
def _subset_sums(ranks: tuple[int, ...]) -> np.ndarray:
    """The chance of every sum of a random subset of `ranks`, each rank in it by the toss of a coin."""
    chances = np.ones(1)
    for rank in ranks:
        chances = (np.append(chances, np.zeros(rank)) + np.append(np.zeros(rank), chances)) / 2
    return chances


@cache
def _choice_sums(ranks: tuple[int, ...], size: int) -> np.ndarray:
    """The chance of every sum of `size` of the `ranks`, all choices equally likely."""
    counts = np.zeros((size + 1, sum(ranks) + 1))
    counts[0, 0] = 1
    for rank in ranks:
        counts[1:, rank:] += counts[:-1, :-rank].copy()
    return counts[size] / counts[size].sum()


def _doubled_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the rank of each value from 1, ties at their mean: whole numbers."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right") + 1


def _turn_medians(rounds: Sequence[float], turns: Sequence[int]) -> list[float]:
    if sum(turns) != len(rounds):
        raise ValueError(f"{len(rounds)} rounds do not fill turns of {sum(turns)}")
    medians, start = [], 0
    for length in turns:
        medians.append(median(rounds[start:start + length]))
        start += length
    return medians
