"""A series as a small picture (SVG in the page): no script, no plotly, 200 of them open at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eagerbench.history.report import Change, SeriesPart

WIDTH, HEIGHT, _EDGE = 260, 72, 6
MOST_POINTS = 240  # of a line: more would lie on one another


@dataclass(frozen=True)
class Spark:
    """A picture of a series: places in pixels.

    Attributes:
        line: `x,y x,y …` of the ratios.
        band: the same around their intervals, empty without.
        steps: (x, kind) of each change, `slower` or `faster`.
        eager: y of the anchor's own speed, None where that is outside.
        low, high: ratios at the lower and the upper edge.
    """

    line: str
    band: str
    steps: Sequence[tuple[float, str]]
    eager: float | None
    low: float
    high: float
    last: tuple[float, float]


def spark(series: SeriesPart, changes: Sequence[Change]) -> Spark:
    """The picture of a series with its changes. The axis is logarithmic, and as wide as the ratios need."""
    logs = np.log(series.ratios)
    low, high = float(logs.min()), float(logs.max())
    room = max(0.01, 0.08 * (high - low))  # two percent at least
    low, high = low - room, high + room
    last = max(1, len(logs) - 1)

    def x(place: float) -> float:
        return round(_EDGE + (WIDTH - 2 * _EDGE) * place / last, 1)

    def y(value: float) -> float:
        return round(_EDGE + (HEIGHT - 2 * _EDGE) * (1 - (min(max(value, low), high) - low) / (high - low)), 1)

    kept = thinned(logs)
    points = " ".join(f"{x(place)},{y(logs[place])}" for place in kept)
    bounds = [(place, series.low[place], series.high[place]) for place in kept]
    band = ""
    if all(first is not None and second is not None for _, first, second in bounds):
        upper = [f"{x(place)},{y(math.log(second))}" for place, _, second in bounds]
        lower = [f"{x(place)},{y(math.log(first))}" for place, first, _ in reversed(bounds)]
        band = " ".join([*upper, *lower])
    at = {run: place for place, run in enumerate(series.runs)}
    steps = [(x(at[change.after] - 0.5), "slower" if change.ratio < 1 else "faster") for change in changes]
    return Spark(points, band, steps, y(0.0) if low <= 0 <= high else None, math.exp(low), math.exp(high),
                 (x(len(logs) - 1 if len(logs) > 1 else 0), y(logs[-1])))


def thinned(values: np.ndarray) -> list[int]:
    """Places of at most so many values: of each stretch the lowest and the highest, so that no peak is lost."""
    if len(values) <= MOST_POINTS:
        return list(range(len(values)))
    found: set[int] = {0, len(values) - 1}
    for part in np.array_split(np.arange(len(values)), MOST_POINTS // 2):
        found |= {int(part[values[part].argmin()]), int(part[values[part].argmax()])}
    return sorted(found)
