"""The highest rate that holds a latency limit: by bisection between rates, then confirmed by repeated runs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

_MOST_STEPS = 3  # that a confirmation goes down
_LOWEST = 4  # a rate this many times lower than the first one is the last that is tried

Holds = Callable[[float], bool]


@dataclass(frozen=True)
class Found:
    """
    Attributes:
        rate: at which more than half of the repeated runs hold the limit; None where there is none.
        sure: at which every one of them does; None where there is none.
        fails: the lowest rate above `rate` at which a run does not hold it; None where every rate that may be tried
            holds it.
    """

    rate: float | None
    sure: float | None
    fails: float | None


def bracket(holds: Holds, low: float, high: float, ratio: float) -> tuple[float | None, float | None]:
    """Two rates, the first of which holds the limit while the second does not, at most `ratio` apart.

    Bisection on a log scale. None for the first where not even `low` / 4 holds it, and for the second where `high`
    does: nothing above `high` is tried.

    Args:
        holds: whether a run at a rate does; it may err near the limit, as runs do.
    """
    low = min(low, high)
    least = low / _LOWEST
    fails = None
    while not holds(low):
        fails = low
        low /= _LOWEST
        if low < least:
            return None, fails
    if fails is None and (low == high or holds(high)):
        return high, None
    fails = high if fails is None else fails
    while fails / low > ratio:
        middle = math.sqrt(low * fails)
        if holds(middle):
            low = middle
        else:
            fails = middle
    return low, fails


def search(holds: Holds, low: float, high: float, ratio: float, repeats: int) -> Found:
    """`bracket`, then `repeats` runs more at its lower end. Where one of them fails, the next lower rate is repeated,
    three times at most."""
    rate, fails = bracket(holds, low, high, ratio)
    most = None
    for _ in range(_MOST_STEPS + 1):
        if rate is None:
            break
        held = sum(holds(rate) for _ in range(repeats))
        if 2 * held > repeats and most is None:
            most = rate
        if held == repeats:
            return Found(most, rate, fails)
        if most is None:
            fails = rate
        rate /= ratio
    return Found(most, None, fails)
