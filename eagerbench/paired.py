"""What the same items, answered twice, say: how many are lost and won, and how far the shares of right answers differ.

scipy is imported when a number is asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

_RESAMPLES = 10_000
_CHUNK = 2**22  # numbers drawn at a time


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; `low` and `high` are None where the items give none."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Answers:
    """Items by who answered them right: `both`, the reference alone (`lost`), the other alone (`won`), `neither`."""

    both: int
    lost: int
    won: int
    neither: int

    @classmethod
    def of(cls, reference: np.ndarray, other: np.ndarray) -> "Answers":
        """Of which items each answered right, bool (items,)."""
        return cls(int((reference & other).sum()), int((reference & ~other).sum()), int((~reference & other).sum()),
                   int((~reference & ~other).sum()))

    @property
    def items(self) -> int:
        return self.both + self.lost + self.won + self.neither

    @cached_property
    def p(self) -> float:
        """Two-sided p of the exact McNemar test that items are lost as often as won: the binomial test of those that
        are either (McNemar, Psychometrika 12, 1947). 1.0 where none is."""
        from scipy.stats import binomtest

        changed = self.lost + self.won
        return float(binomtest(self.lost, changed).pvalue) if changed else 1.0

    @cached_property
    def loss(self) -> Interval:
        """By how much the share of right answers is smaller than the reference's, in shares: 0.01 is a point.

        The interval is Newcombe's for paired proportions, method 10 (Statistics in Medicine 17, 1998, 2635–2650):
        Wilson's of both shares, put together by their correlation. It is not empty where nothing changed.
        """
        items, both, neither = self.items, self.both, self.neither
        right, other = both + self.lost, both + self.won
        (low, high), (other_low, other_high) = _wilson(right, items), _wilson(other, items)
        first, second = right / items, other / items
        margins = right * (items - right) * other * (items - other)
        product = both * neither - self.lost * self.won
        product = max(product - items / 2, 0.0) if product > 0 else product
        correlation = product / math.sqrt(margins) if margins else 0.0

        def reach(one: float, two: float) -> float:
            return math.sqrt(max(0.0, one**2 - 2 * correlation * one * two + two**2))

        found = (self.lost - self.won) / items
        return Interval(found, max(-1.0, found - reach(first - low, other_high - second)),
                        min(1.0, found + reach(high - first, second - other_low)))


def share(count: int, items: int) -> Interval:
    """A share with its exact interval (Clopper and Pearson, Biometrika 26, 1934)."""
    from scipy.stats import binomtest

    found = binomtest(count, items).proportion_ci(method="exact")
    return Interval(count / items, float(found.low), float(found.high))


def mean_of(differences: Sequence[float], seed: int = 0) -> Interval:
    """The mean of paired differences with its percentile bootstrap interval over items (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, 13.3), 10,000 resamples.

    Without bounds where all differences are equal: resampling them shows nothing.
    """
    values, counts = np.unique(np.asarray(differences, float), return_counts=True)
    mean = float(np.average(values, weights=counts))
    if len(values) < 2:
        return Interval(mean, None, None)
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), _RESAMPLES)
    low, high = np.quantile(drawn @ values / counts.sum(), (0.025, 0.975))
    return Interval(mean, float(low), float(high))


def correlation_loss(reference: np.ndarray, other: np.ndarray, scores: np.ndarray, seed: int = 0) -> Interval:
    """By how much Spearman's correlation of `other` with `scores` is smaller than that of `reference`, (items,) each,
    with its percentile bootstrap interval over items, 2,000 resamples at most."""
    items, rng = len(scores), np.random.default_rng(seed)

    def loss(chosen: np.ndarray) -> np.ndarray:
        return _spearman(reference[chosen], scores[chosen]) - _spearman(other[chosen], scores[chosen])

    value = float(loss(np.arange(items)[None])[0])
    rows = max(1, _CHUNK // items)
    resamples = _RESAMPLES // 5
    drawn = np.concatenate([loss(rng.integers(0, items, (min(rows, resamples - start), items)))
                            for start in range(0, resamples, rows)])
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < resamples / 2 or np.ptp(drawn) == 0:
        return Interval(value, None, None)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _spearman(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Rank correlation of each row with the same one, (rows, items) → (rows,); NaN where a row has one value only."""
    from scipy.stats import rankdata

    first, second = (rankdata(values, axis=1) for values in (one, two))
    first, second = (ranks - ranks.mean(1, keepdims=True) for ranks in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (first * second).sum(1) / np.sqrt((first**2).sum(1) * (second**2).sum(1))


def _wilson(count: int, items: int) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 %."""
    z2 = NormalDist().inv_cdf(0.975) ** 2
    middle = (count + z2 / 2) / (items + z2)
    half = math.sqrt(z2 * (count * (items - count) / items + z2 / 4)) / (items + z2)
    return middle - half, middle + half
