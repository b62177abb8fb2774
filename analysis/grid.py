"""Tables of text: on a terminal and as Markdown."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

Row = Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A titled table of text. `note` stands below it."""

    title: str
    header: Row
    rows: list[Row]
    note: str = ""


def interval(low: float | None, high: float | None) -> str:
    """` [0.98, 1.04]` of a ratio, or nothing without bounds.

    Few pairs in bursts of a busy machine leave an interval that says nothing: its digits would not either.
    """
    return "" if low is None or high is None else f" [{_bound(low)}, {_bound(high)}]"


def _bound(value: float) -> str:
    return "<0.01" if value < 0.01 else ">99" if value > 99 else f"{value:.2f}"


def as_text(grids: list[Grid], width: int, colour: bool) -> str:
    """Tables for a terminal `width` columns wide (at least 140: narrower ones would break the numbers)."""
    stream = io.StringIO()
    console = Console(file=stream, width=max(width, 140), force_terminal=colour, highlight=False)
    for grid in grids:
        table = Table()
        for index, name in enumerate(grid.header):
            table.add_column(name, no_wrap=index == 0, overflow="fold")
        for row in grid.rows:
            table.add_row(*row)
        console.print(grid.title, table, grid.note, "", sep="\n", markup=False)
    return stream.getvalue()


def as_markdown(grids: list[Grid]) -> str:
    blocks = []
    for grid in grids:
        lines = [grid.header, ["---"] * len(grid.header), *grid.rows]
        table = "\n".join("| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in lines)
        blocks.append(f"### {grid.title}\n\n{table}\n" + (f"\n{grid.note}\n" if grid.note else ""))
    return "\n".join(blocks)
