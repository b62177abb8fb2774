"""Where the time of a session, or of the pairs of a duet, went: a table."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from eagerbench.machine.spent import PARTS
from eagerbench.results.grid import Grid

TITLE = "where the time went"
_LEAST_S = 0.05  # of a row
Spent = dict[str, Annotated[float, Meta(ge=0, lt=1e9)]]  # seconds by part


def read(value: Any) -> Spent:
    """
    Raises:
        msgspec.ValidationError: it is not seconds by part.
    """
    return msgspec.convert(value, Spent)


def of_session(session: Mapping[str, Any]) -> list[Grid]:
    """The table of a session's seconds, which `summary.planned` has checked; none of a file that has no parts."""
    parts = session.get("spent")
    if not parts:
        return []
    note = ("Seconds of the session's process, from its start to the saving of its file. The report is written after "
            "that. What several processes did side by side is counted once.")
    return [_grid(parts, note)]


def of_pairs(pairs: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """The table of a side in a pair, the mean of all sides of all pairs; none of older files."""
    sides = [side for pair in pairs for side in (pair.get("spent") or {}).values() if side]
    if not sides:
        return []
    parts = {name: sum(side.get(name, 0.0) for side in sides) / len(sides) for side in sides for name in side}
    minutes = sum(pair.get("seconds", 0.0) for pair in pairs) / 60
    return [_grid(parts, f"Seconds of a side in a pair, the mean of {len(sides)}; all pairs together took "
                         f"{minutes:.1f} minutes. Both sides start at the same time; then one waits while the other "
                         "works.")]


def side_by_side(sessions: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Rows: a part, and its seconds in each session; none where no session has parts."""
    found = [session.get("spent") or {} for session in sessions]
    longest = {name: max(parts.get(name, 0.0) for parts in found) for parts in found for name in parts}
    rows = [[PARTS.get(name, name), *(f"{parts[name]:.1f}" if name in parts else "–" for parts in found)]
            for name in sorted(longest, key=lambda name: -longest[name]) if longest[name] >= _LEAST_S]
    return [*rows, ["all", *(f"{sum(parts.values()):.1f}" if parts else "–" for parts in found)]] if rows else []


def _grid(parts: Spent, note: str) -> Grid:
    total = sum(parts.values())
    rows = [[PARTS.get(name, name), f"{value:.1f}", f"{value / total:.0%}"]
            for name, value in sorted(parts.items(), key=lambda item: -item[1]) if value >= _LEAST_S]
    return Grid(TITLE, ["what", "seconds", "share"], [*rows, ["all", f"{total:.1f}", ""]], note)
