"""Figures as plotly reads them, without their colours of text and paper: a page has a light and a dark one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eagerbench.results.decision.budget import CLASSES
from eagerbench.results.numbers import digits
from eagerbench.shown import label

MOST_MARKS = 500  # of a figure
# Told apart by people who see few colours too, with 3:1 against a white and a dark page (WCAG 1.4.11).
PALETTE = ("#3b7ddd", "#c2660a", "#1a8f5a", "#a24fd0", "#d1495b", "#77808c", "#008b99", "#8a7a00", "#b0578d", "#5c6bc0")
CLASS_COLOURS = dict(zip(CLASSES, PALETTE, strict=False))
GREY = "#808891"
INK = "ink"  # of the page, which its script knows
_MANTISSAS = ((0.12, (1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.2, 2.4, 2.6, 2.8, 3, 3.2,
                      3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5)),
              (0.5, (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9)), (1.3, (1, 1.5, 2, 3, 5, 7)),
              (2.6, (1, 2, 5)), (math.inf, (1,)))  # decades that an axis spans, ticks of a decade


@dataclass(frozen=True)
class Figure:
    """A figure of a page.

    Attributes:
        key: its element's id.
        title: above it.
        about: what it shows, for whoever does not see it.
        marks, of: records drawn, and how many there are.
        height: pixels; `least_width` those below which it scrolls.
    """

    key: str
    title: str
    about: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    marks: int
    of: int
    height: int
    least_width: int = 0

    @property
    def thinned(self) -> str:
        return f"{self.marks:,} of {self.of:,} records are drawn, evenly chosen." if self.marks < self.of else ""

    @property
    def json(self) -> dict[str, Any]:
        return {"data": self.data, "layout": {**self.layout, "height": self.height}}


def thin(points: Sequence[Any], kept: Sequence[bool] = (), most: int = MOST_MARKS) -> list[Any]:
    """At most so many points, in their order: those that are kept, and others at equal steps."""
    if len(points) <= most:
        return list(points)
    first = [place for place, keep in enumerate(kept) if keep][:most]
    others = sorted(set(range(len(points))) - set(first))
    left = most - len(first)
    chosen = {others[math.floor((step + 0.5) * len(others) / left)] for step in range(left)}
    return [points[place] for place in sorted({*first, *chosen})]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis from `low` to `high`, both above 0: three to about nine of them."""
    span = math.log10(high / low)
    mantissas = next(found for most, found in _MANTISSAS if span <= most)
    step = max(1, math.ceil(span / 8))
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [mantissa * 10.0**power for power in powers if power % step == 0 or len(mantissas) > 1
             for mantissa in mantissas]
    return [value for value in found if low * 0.999 <= value <= high * 1.001]


def log_axis(title: str, values: Sequence[float], text=digits, room: float = 0.08, **more: Any) -> dict[str, Any]:
    """A logarithmic axis for values above 0, with plain numbers at its ticks.

    Args:
        room: share of its length left free on each side.
    """
    low, high = min(values), max(values)
    if high / low < 1.3:
        low, high = low / 1.2, high * 1.2
    space = max((high / low) ** room, 1.03)
    low, high = low / space, high * space
    at = ticks(low, high)
    return {"type": "log", "title": {"text": label(title), "standoff": 8}, "automargin": True,
            "range": [math.log10(low), math.log10(high)], "tickmode": "array", "tickvals": at,
            "ticktext": [plain(value, text) for value in at], **more}


def spanned(numbers: Sequence[tuple[float, float | None, float | None]], most: float = 3.0) -> list[float]:
    """What an axis must reach: every value, and the ends of intervals unless they lie far beyond all values.

    Args:
        most: how many times beyond. An interval of a disturbed case would leave the others in one spot.
    """
    values = [value for value, *_ in numbers]
    largest = max(map(abs, values))
    low, high = (min(values) / most, largest * most) if min(values) > 0 else (-largest * most, largest * most)
    if not largest:
        low, high = -math.inf, math.inf
    return [*values, *(min(max(end, low), high) for _, *ends in numbers for end in ends if end is not None)]


def plain(value: float, text=digits) -> str:
    """`20` of 20.0, `0.5` of 0.500."""
    shown = text(value)
    return shown.rstrip("0").rstrip(".") if text is digits and "." in shown else shown


def linear_axis(title: str, **more: Any) -> dict[str, Any]:
    """From 0 on, unless the values go below it."""
    return {"title": {"text": label(title), "standoff": 8}, "rangemode": "tozero", "automargin": True, **more}


def from_zero(values: Sequence[float]) -> list[float]:
    """Ends of a linear axis that holds 0 and all values, with a little room."""
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.05 * (high - low) or 1.0
    return [low - room if low < 0 else 0.0, high + room if high > 0 or low == high else 0.0]


def ends(values: Sequence[tuple[float, float | None, float | None]], colour: str = "") -> dict[str, Any]:
    """Error bars of (value, low, high), none where an end is missing; in the colour of their marks without one. INK is
    the page's."""
    known = [(value, low, high) if low is not None and high is not None else (value, value, value)
             for value, low, high in values]
    return {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3, **({"color": colour} if colour else {}),
            "array": [max(0.0, high - value) for value, _, high in known],
            "arrayminus": [max(0.0, value - low) for value, low, _ in known]}


LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"}
MARGIN = {"l": 60, "r": 16, "t": 40, "b": 52}
