"""Statistics of repeated measurements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scipy import stats


@dataclass(frozen=True)
class Ratio:
    """A ratio of times with its confidence interval; `low` and `high` are None with fewer than two pairs."""

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
    """Geometric mean of paired ratios with Student's interval on their logarithms.

    It covers what varied within this process; another process of the same code differs by more (README).
    """
    mean = sum(log_ratios) / len(log_ratios)
    if len(log_ratios) < 2:
        return Ratio(math.exp(mean), None, None, len(log_ratios))
    if max(log_ratios) == min(log_ratios):
        return Ratio(math.exp(mean), math.exp(mean), math.exp(mean), len(log_ratios))
    interval = stats.ttest_1samp(log_ratios, 0.0).confidence_interval(confidence)
    return Ratio(math.exp(mean), math.exp(interval.low), math.exp(interval.high), len(log_ratios))


def _turn_medians(rounds: Sequence[float], turns: Sequence[int]) -> list[float]:
    if sum(turns) != len(rounds):
        raise ValueError(f"{len(rounds)} rounds do not fill turns of {sum(turns)}")
    medians, start = [], 0
    for length in turns:
        medians.append(median(rounds[start:start + length]))
        start += length
    return medians
