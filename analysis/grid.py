"""Tables of text: on a terminal and as Markdown."""

import io
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def show(grids: list[Grid], markdown: bool) -> None:
    """Print tables, as wide as the terminal."""
    width = shutil.get_terminal_size().columns
    print(as_markdown(grids) if markdown else as_text(grids, width, sys.stdout.isatty()))


def as_text(grids: list[Grid], width: int, colour: bool) -> str:
    """Tables for a terminal `width` columns wide (at least 140: narrower ones would break the numbers)."""
    stream = io.StringIO()
    console = Console(file=stream, width=max(width, 140), force_terminal=colour, highlight=False)
    for grid in grids:
        table = Table()
        for index, name in enumerate(grid.header):
            table.add_column(name, no_wrap=index == 0, overflow="fold")
        for row in grid.rows:
            table.add_row(*(Text(_printable(text)) for text in row))
        shown = [table] if grid.rows else []
        console.print(Text(_printable(grid.title)), *shown, Text(_printable(grid.note)), "", sep="\n")
    return stream.getvalue()


def as_markdown(grids: list[Grid]) -> str:
    blocks = []
    for grid in grids:
        lines = [grid.header, ["---"] * len(grid.header), *grid.rows]
        table = "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)
        parts = [f"### {grid.title}\n", f"{table}\n" if grid.rows else "", f"{grid.note}\n" if grid.note else ""]
        blocks.append("\n".join(filter(None, parts)))
    return "\n".join(blocks)


def _printable(text: str) -> str:
    """Ids and reasons come from files: no control character of theirs reaches a terminal or breaks a row."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def _markdown_cell(text: str) -> str:
    return _printable(text).replace("|", r"\|").replace("\n", " ")
