"""How far a number of rounds may be off, where a record has no interval of its own."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

LEAST = 6  # rounds that an exact 95 % interval of the median needs


def of_median(rounds: Sequence[float]) -> tuple[float, float] | None:
    """Ends of an interval for the median: of 95 % at least by order statistics (Hollander, Wolfe and Chicken, 3.6),
    from six rounds on; of fewer, their range; None of one. Both are shares of the median."""
    if len(rounds) < 2:
        return None
    ordered, middle = sorted(rounds), median(rounds)
    rank = _rank(len(ordered)) if len(ordered) >= LEAST else 1
    return ordered[rank - 1] / middle, ordered[-rank] / middle


def around(value: float, bench: Mapping[str, Any], power: int) -> tuple[float, float | None, float | None]:
    """The number with its ends, of a benchmark whose rounds make it: `power` 1 of a time, -1 of a rate, 0 of
    neither."""
    found = of_median(bench["stats"].get("data") or []) if power else None
    if found is None:
        return value, None, None
    low, high = sorted((value * found[0] ** power, value * found[1] ** power))
    return value, low, high


def _rank(count: int) -> int:
    """The rank from below, and from above, whose values hold the median between them in 95 % of samples."""
    if count > 200:
        return max(1, math.floor((count - 1.96 * math.sqrt(count)) / 2))
    tail, total = 0, 2**count
    for rank in range(count):
        tail += math.comb(count, rank)
        if tail / total > 0.025:
            return max(1, rank)
    return 1
