"""Whether a ranking travels: how similarly two machines order the same variants."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from eagerbench.fleet.machines import Machine, Place

LEAST = 5  # variants that an interval needs
_Z = 1.959964  # of a 95 % interval
_SPREAD = 0.437  # variance of Fisher's z of Kendall's tau, times n − 4


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau of a place on two machines, with its 95 % interval where there are variants enough."""

    place: Place
    one: str
    other: str
    variants: int
    tau: float
    low: float | None
    high: float | None

    @property
    def alike(self) -> float:
        """Share of pairs of variants that both machines order alike, but for ties."""
        return (1 + self.tau) / 2


def tau(first: Sequence[float], second: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Kendall's tau-b of two lists and its 95 % interval over such variants; NaN where a list has one value only.

    The interval is Fieller's, Hartley's and Pearson's, by Fisher's z (Biometrika 44, 1957). Where all pairs agree, half
    a pair counts as not: otherwise the interval would be empty.
    """
    from scipy.stats import kendalltau

    size = len(first)
    found = float(kendalltau(first, second).statistic)
    if math.isnan(found) or size < LEAST:
        return found, None, None
    most = 1 - 2 / (size * (size - 1))
    middle, half = math.atanh(min(max(found, -most), most)), _Z * math.sqrt(_SPREAD / (size - 4))
    low, high = math.tanh(middle - half), math.tanh(middle + half)
    return found, -1.0 if found <= -most else low, 1.0 if found >= most else high


def of_fleet(fleet: Sequence[Machine], where: Sequence[Place]) -> list[Agreement]:
    """Of each place and each two machines that have two variants in common and more."""
    found = []
    for place in where:
        for one, other in combinations(fleet, 2):
            first, second = one.points.get(place, {}), other.points.get(place, {})
            common = [name for name in first if name in second]
            if len(common) < 2:
                continue
            value, low, high = tau([first[name].ratio for name in common], [second[name].ratio for name in common])
            if not math.isnan(value):
                found.append(Agreement(place, one.kind, other.kind, len(common), value, low, high))
    return found
