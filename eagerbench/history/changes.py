"""Where a series changed: binary segmentation on log ratios.

Each split of a segment is judged by the size of its step against chance: the largest standardised difference of means
over all splits, among random orders of the same values (Page, Biometrika 42, 1955; Scott and Knott, Biometrics 30,
1974). p is adjusted by Hochberg's procedure over all segments of all series at once; halves of what was split are tried
in the next round. Nothing is assumed of the spread but that the order of runs says nothing where nothing changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eagerbench.statistics import hochberg, shift_interval

ALPHA = 0.01  # of one false change among all series of a report
SETTLED = 5  # runs on a side; after a change, fewer of them at a series' end leave it provisional
LEAST_AFTER = 3  # of the newest runs that are tried for a change
LEAST = 0.02  # smallest change that is reported, as a share
_CLIP = 5.0  # robust standard deviations from the median, beyond which a value counts as that far
_NEAR = 2.0  # the same, from the levels on either side of a change
_ORDERS = 200, 2_000  # random orders that are tried first; then as many as can decide
_MOST_ORDERS = 128_000
_ENOUGH = 10  # random orders as extreme as what was seen, from which on p is known well enough
_CHUNK = 2**21  # values drawn at a time
_PLACE = 7.35  # of the likelihood ratio of a place, for a 95 % interval (Hansen, Econometrica 68, 2000, table 1)


@dataclass(frozen=True)
class Change:
    """A step between two runs of a series.

    Attributes:
        at: place of the first run after it; `earliest` and `latest` are its 95 % interval.
        log_ratio: log(after / before), with its 95 % interval `low` to `high`, None where too few runs give one.
        before, after: number of runs in the segments beside it.
        p: adjusted for all series of the report.
    """

    at: int
    earliest: int
    latest: int
    log_ratio: float
    low: float | None
    high: float | None
    before: int
    after: int
    p: float
    provisional: bool


@dataclass(frozen=True)
class _Segment:
    series: int
    start: int
    end: int
    last: bool  # whether the series ends here

    def splits(self) -> tuple[int, int]:
        """First and last place of a split, counted from the segment's start; none when the first is larger."""
        return SETTLED, self.end - self.start - (LEAST_AFTER if self.last else SETTLED)


def find(series: Sequence[np.ndarray], least: float = LEAST, alpha: float = ALPHA, seed: int = 0) -> list[list[Change]]:
    """The changes of each series of log ratios, in order of time.

    Args:
        least: smallest change, as a share: 0.02 is 2 %.
        seed: of the random orders; the same series give the same changes.
    """
    rng = np.random.default_rng(seed)
    waiting = [_Segment(place, 0, len(values), True) for place, values in enumerate(series)]
    cuts: list[dict[int, float]] = [{} for _ in series]
    while waiting := [one for one in waiting if one.splits()[0] <= one.splits()[1]]:
        values = [clipped(series[one.series][one.start:one.end]) for one in waiting]
        places, p_values = strongest(values, [one.splits() for one in waiting], alpha, rng)
        halves = []
        for one, place, p in zip(waiting, places, hochberg(p_values), strict=True):
            part = series[one.series][one.start:one.end]
            step = abs(np.median(part[place:]) - np.median(part[:place]))
            if p <= alpha and step >= np.log1p(least):
                cuts[one.series][one.start + place] = p
                halves += [_Segment(one.series, one.start, one.start + place, False),
                           _Segment(one.series, one.start + place, one.end, one.last)]
        waiting = halves
    return [list(_changes(values, found)) for values, found in zip(series, cuts, strict=True)]


def clipped(values: np.ndarray) -> np.ndarray:
    """Values without what a disturbed run adds: cut at five robust standard deviations from their median."""
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    return np.clip(values, middle - _CLIP * spread, middle + _CLIP * spread) if spread > 0 else np.asarray(values)


def strongest(values: Sequence[np.ndarray], splits: Sequence[tuple[int, int]], alpha: float,
              rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """The strongest split of each segment, and its p: the share of random orders whose strongest is as strong, or a
    bound of that share where it is small enough.

    Random orders are added, for as long as they can tell whether a segment passes Hochberg's procedure over all.
    """
    seen = [_statistic(one[None], *ends) for one, ends in zip(values, splits, strict=True)]
    sizes = np.array([float(size[0]) for size, _ in seen])
    places = [int(place[0]) for _, place in seen]
    as_strong, orders = np.zeros(len(values)), np.zeros(len(values))
    p = np.array([bound(one, size, *ends) for one, size, ends in zip(values, sizes, splits, strict=True)])
    open_ = np.array([float(np.ptp(one)) > 0 for one in values], bool) & (np.array(hochberg(p)) > alpha)
    for most in (*_ORDERS, min(_MOST_ORDERS, max(_ORDERS[-1], int(2 * len(values) / alpha)))):
        if not open_.any():
            break
        for group in _alike([(len(values[place]), *splits[place]) for place in range(len(values))], open_):
            stack = np.stack([values[place] for place in group])
            for order in _random_orders(stack.shape[1], len(group), most - int(orders[group[0]]), rng):
                found = _sizes(stack[:, order], *splits[group[0]]).max(-1)
                as_strong[group] += (found >= sizes[group, None] * (1 - 1e-9)).sum(-1)
            orders[group] = most
        p[open_] = (as_strong[open_] + 1) / (orders[open_] + 1)
        passed = np.array(hochberg(p)) <= alpha
        open_ &= (as_strong < _ENOUGH) & ~passed
    return places, [float(one) for one in p]


def bound(values: np.ndarray, size: float, first: int, last: int) -> float:
    """At most the share of all orders whose strongest split is as strong as `size`: the sum over splits of Serfling's
    inequality for samples without replacement (Annals of Statistics 2, 1974), whatever the values. Small for a step in
    a long series, where random orders would take minutes to show as much."""
    width, before = float(np.ptp(values)), np.arange(first, last + 1)
    if width == 0:
        return 1.0
    side = np.maximum(before, len(values) - before)
    return float(min(1.0, 2 * np.exp(-2 * (size / width) ** 2 * side / (side + 1)).sum()))


def _alike(keys: Sequence[tuple], open_: np.ndarray) -> Iterator[np.ndarray]:
    """Places of segments of one length and the same splits."""
    groups: dict[tuple, list[int]] = {}
    for place in np.flatnonzero(open_):
        groups.setdefault(keys[place], []).append(int(place))
    return map(np.array, groups.values())


def _random_orders(size: int, segments: int, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Random orders of so many values, (some, size) at a time: the same for all segments, each of which they serve."""
    at_once = max(1, _CHUNK // (size * segments))
    for start in range(0, count, at_once):
        yield rng.permuted(np.broadcast_to(np.arange(size), (min(at_once, count - start), size)), axis=1)


def _statistic(values: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest standardised difference of means of values (…, n) over splits, and its place, (…) each."""
    found = _sizes(values, first, last)
    return found.max(-1), first + found.argmax(-1)


def _sizes(values: np.ndarray, first: int, last: int) -> np.ndarray:
    """The standardised difference of means at each split. The spread of all values is left out: it is the same in every
    order."""
    size = values.shape[-1]
    before = np.arange(first, last + 1)
    sums = np.cumsum(values - values.mean(-1, keepdims=True), axis=-1)[..., first - 1:last]
    return np.abs(sums) / np.sqrt(before * (size - before) / size)


def _changes(values: np.ndarray, cuts: dict[int, float]) -> Iterator[Change]:
    """Each cut with the segments beside it, moved to where it fits best between its neighbours."""
    ends = [0, *sorted(cuts), len(values)]
    for place in range(1, len(ends) - 1):
        start, cut, end = ends[place - 1:place + 2]
        at, earliest, latest = _place(_near(values[start:end], cut - start), cut - start, place == len(ends) - 2)
        ends[place] = start + at
        before, after = values[start:start + at], values[start + at:end]
        yield Change(start + at, start + earliest, start + latest, *shift_interval(before, after), len(before),
                     len(after), cuts[cut], place == len(ends) - 2 and len(after) < SETTLED)


def _near(values: np.ndarray, cut: int) -> np.ndarray:
    """Values cut a little beyond the levels before and after: a disturbed run must not move the place."""
    levels = np.median(values[:cut]), np.median(values[cut:])
    spread = 1.4826 * np.median(np.abs(values - np.repeat(levels, (cut, len(values) - cut))))
    return np.clip(values, min(levels) - _NEAR * spread, max(levels) + _NEAR * spread) if spread > 0 else values


def _place(values: np.ndarray, cut: int, last: bool) -> tuple[int, int, int]:
    """The best place of one split, and the first and last of those that fit nearly as well."""
    size = len(values)
    least_after = min(LEAST_AFTER if last else SETTLED, size - cut)
    least_before = min(SETTLED, cut)
    before = np.arange(1, size)
    sums = np.cumsum(values)[:-1]
    squares = float(np.square(values).sum())
    errors = squares - sums**2 / before - (values.sum() - sums)**2 / (size - before)  # of each split, around two means
    allowed = errors[least_before - 1:size - least_after]
    best = int(allowed.argmin()) + least_before
    spread = max(float(errors[best - 1]), 1e-12 * squares, 1e-300) / max(1, size - 2)
    near = np.flatnonzero(errors - errors[best - 1] <= _PLACE * spread) + 1
    left = right = best
    near_places = set(near.tolist())
    while left - 1 in near_places:
        left -= 1
    while right + 1 in near_places:
        right += 1
    return best, left, right
