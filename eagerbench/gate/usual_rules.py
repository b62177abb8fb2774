"""Rules that decide whether a benchmark is slower, for many simulated suites at once: the gate's and usual ones."""

import math
from dataclasses import dataclass

import numpy as np

from eagerbench.gate.judge import THRESHOLDS, pairs_to_confirm
from eagerbench.gate.noise_models import Draws
from eagerbench.statistics import _interval_rank, rank_sum_chances, signed_rank_chances

FIXED = 0.05
ASV_FACTOR, ASV_P = 1.1, 0.002  # `asv continuous`: its default factor, and the p of asv.statistics.is_different
BENCHSTAT_P = 0.05


@dataclass
class Verdicts:
    """What this gate says of each suite. The last column of `red` is the suite's geometric mean.

    Attributes:
        red: (suites, benches + 1) bool.
        suspects: (suites,) how many were to be confirmed.
        contaminated: (suites,) bool, in either stage.
        estimate, low, high: (suites,) log ratio and interval of the first benchmark, from the stage that judged it.
    """

    red: np.ndarray
    suspects: np.ndarray
    contaminated: np.ndarray
    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Gate:
    """`judge.judge` of many suites; what depends neither on the floor nor on the effect is computed once."""

    def __init__(self, draws: Draws):
        self.confirm = _with_mean(draws.confirm)
        self.null_confirm = _with_mean(draws.null_confirm)
        self.screen = pair_averages(_with_mean(draws.screen))
        self.screened = np.median(self.screen, axis=-1)
        self.bad_screen = _moved(draws.control_screen) | self._null_moved(_with_mean(draws.null_screen))
        self.bad_null = self._null_moved(self.null_confirm)
        self.control = draws.control_confirm

    @staticmethod
    def _null_moved(null: np.ndarray) -> np.ndarray:
        return np.abs(_estimate(null[:, -1])) > math.log1p(THRESHOLDS.null)

    def judge(self, floor: float, margin: float, effect: float = 0.0) -> Verdicts:
        """The verdicts when the first benchmark is slower by `effect` (a share)."""
        shift = np.zeros(self.screened.shape[1])
        shift[0] = math.log1p(effect)
        shift[-1] = shift[0] / (len(shift) - 1)
        suspect = (self.screened + shift >= math.log1p(THRESHOLDS.screen_share * floor)) & ~self.bad_screen[:, None]
        members = suspect.sum(axis=1)
        low = _interval_rank(THRESHOLDS.screen_pairs, THRESHOLDS.confidence)
        first = self.screen[:, 0] + shift[0]
        found = Verdicts(np.zeros_like(suspect), members, self.bad_screen.copy(), np.median(first, axis=-1),
                         first[:, low - 1].copy(), first[:, -low].copy())
        needed = np.array([pairs_to_confirm(count) for count in range(suspect.shape[1] + 1)])
        for pairs in np.unique(needed[members[members > 0]]):
            rows = np.flatnonzero((members > 0) & (needed[members] == pairs))
            self._confirm(found, rows, suspect[rows], int(pairs), shift, floor, margin)
        return found

    def _confirm(self, found: Verdicts, rows: np.ndarray, suspect: np.ndarray, pairs: int, shift: np.ndarray,
                 floor: float, margin: float) -> None:
        whole = ~suspect[:, :-1].any(axis=1) | suspect[:, :-1].all(axis=1)  # else the mean is not measured again
        measured = suspect.copy()
        measured[~whole, -1] = False
        where = np.nonzero(measured)
        averages = pair_averages(self.confirm[rows][where][:, :pairs]) + shift[where[1]][:, None]
        estimates = np.median(averages, axis=-1)
        tail = np.cumsum(signed_rank_chances(pairs)[::-1])[::-1]
        p_values = np.full(suspect.shape, np.nan)
        p_values[where] = tail[(averages > math.log1p(margin)).sum(axis=-1)]
        p_values[suspect & ~measured] = 1.0  # still in the family
        contaminated = self.bad_null[rows] & whole | _moved(self.control[rows][..., :pairs])
        clean = np.abs(_estimate(self.null_confirm[rows][where])) < THRESHOLDS.null_share * estimates
        red = np.zeros(suspect.shape, bool)
        red[where] = clean & (estimates >= math.log1p(floor))
        found.red[rows] = red & (hochberg_rows(p_values) <= THRESHOLDS.alpha) & ~contaminated[:, None]
        found.contaminated[rows] = contaminated
        first = where[1] == 0
        rank = _interval_rank(pairs, THRESHOLDS.confidence)
        target = rows[where[0][first]]
        found.estimate[target] = estimates[first]
        found.low[target], found.high[target] = averages[first][:, rank - 1], averages[first][:, -rank]


def pair_averages(values: np.ndarray) -> np.ndarray:
    """Sorted averages of two values along the last axis."""
    first, second = np.triu_indices(values.shape[-1])
    return np.sort((values[..., first] + values[..., second]) / 2, axis=-1)


def hochberg_rows(p_values: np.ndarray) -> np.ndarray:
    """Hochberg's adjusted p along the last axis; NaN is no member of the family, and stays."""
    absent = np.isnan(p_values)
    order = np.argsort(np.where(absent, -np.inf, -p_values), axis=-1, kind="stable")  # absent ones first
    position = np.arange(1, p_values.shape[-1] + 1) - absent.sum(axis=-1, keepdims=True)
    ordered = np.take_along_axis(np.where(absent, np.inf, p_values), order, axis=-1)
    adjusted = np.minimum.accumulate(np.where(position > 0, ordered * np.maximum(position, 1), np.inf), axis=-1)
    found = np.empty_like(p_values)
    np.put_along_axis(found, order, np.minimum(adjusted, 1.0), axis=-1)
    return np.where(absent, np.nan, found)


def _with_mean(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1)


def _moved(controls: np.ndarray) -> np.ndarray:
    """Whether any of a suite's controls surely did."""
    averages, rank = pair_averages(controls), _interval_rank(controls.shape[-1], THRESHOLDS.confidence)
    surely = (averages[..., rank - 1] > 0) | (averages[..., -rank] < 0)
    return (surely & (np.abs(np.median(averages, axis=-1)) > math.log1p(THRESHOLDS.control))).any(axis=1)


def _estimate(values: np.ndarray) -> np.ndarray:
    return np.median(pair_averages(values), axis=-1)


def usual_rules(draws: Draws, effect: float = 0.0) -> dict[str, np.ndarray]:
    """(suites, benches) bool a rule: which benchmarks it calls slower when all are slower by `effect` (a share)."""
    shift = math.log1p(effect)
    rounds = np.median(draws.head_rounds, axis=-1) - np.median(draws.base_rounds, axis=-1) + shift
    differs = _rank_sum_p(draws.base_rounds, draws.head_rounds + shift) < ASV_P
    processes = np.median(draws.head, axis=-1) - np.median(draws.base, axis=-1) + shift
    return {
        "fixed threshold": draws.head[..., 0] - draws.base[..., 0] + shift > math.log1p(FIXED),
        "asv": differs & (rounds > math.log(ASV_FACTOR)),
        "asv's test alone": differs & (rounds > 0),
        "benchstat": (_rank_sum_p(draws.base, draws.head + shift) < BENCHSTAT_P) & (processes > 0),
    }


def _rank_sum_p(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Exact two-sided p of the Mann–Whitney test along the last axis, without ties."""
    count = new.shape[-1]
    ranks = np.argsort(np.argsort(np.concatenate([old, new], axis=-1), axis=-1), axis=-1) + 1
    u = ranks[..., old.shape[-1]:].sum(axis=-1) - count * (count + 1) // 2
    chances = rank_sum_chances(old.shape[-1], count)
    both = np.minimum(1.0, 2 * np.minimum(np.cumsum(chances), np.cumsum(chances[::-1])[::-1]))
    return both[u]
