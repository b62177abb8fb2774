"""Statistics of repeated measurements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Ratio:
    """A ratio of times with its confidence interval; `low` and `high` are None when one pair gives none."""

    value: float
    low: float | None
    high: float | None
    pairs: int


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
    more (README).
    """
    logs = np.asarray(log_ratios, float)
    rank = _interval_rank(len(logs), confidence)
    if rank:
        first, second = np.triu_indices(len(logs))
        averages = np.sort((logs[first] + logs[second]) / 2)
        found = np.median(averages), averages[rank - 1], averages[-rank]
    elif len(logs) > 1 and np.ptp(logs) > 0:
        interval = stats.ttest_1samp(logs, 0.0).confidence_interval(confidence)
        found = logs.mean(), interval.low, interval.high
    else:
        return Ratio(math.exp(logs.mean()), None, None, len(logs))
    return Ratio(*(math.exp(value) for value in found), pairs=len(logs))


@cache
def _interval_rank(pairs: int, confidence: float) -> int:
    """How many of the smallest averages lie below the interval, plus one; 0 when no exact interval exists.

    The null distribution of the signed-rank statistic: sums of subsets of 1…n, all 2ⁿ equally likely.
    """
    counts = np.ones(1)
    for rank in range(1, pairs + 1):
        counts = np.append(counts, np.zeros(rank)) + np.append(np.zeros(rank), counts)
    cumulative = np.cumsum(counts) / 2.0**pairs
    return int(np.searchsorted(cumulative, (1 - confidence) / 2, side="right"))


def _turn_medians(rounds: Sequence[float], turns: Sequence[int]) -> list[float]:
    if sum(turns) != len(rounds):
        raise ValueError(f"{len(rounds)} rounds do not fill turns of {sum(turns)}")
    medians, start = [], 0
    for length in turns:
        medians.append(median(rounds[start:start + length]))
        start += length
    return medians
