"""Tables of text: on a terminal of any width and as Markdown."""

import io
import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from eagerbench.shown import markdown, one_line, printable, visible

Row = Sequence[str]

_UNKNOWN_WIDTH = 140  # of a log or a pipe
_LONGEST_WORD = 20  # cells that a column of words gets at least; verdicts, ratios and intervals have shorter ones
_LONGEST_CELL = 4000  # characters
_BORDER, _PER_COLUMN = 1, 3  # cells that rich draws around columns


@dataclass(frozen=True)
class Grid:
    """A titled table of text. `note` is printed below it."""

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
    print(as_markdown(grids) if markdown else as_text(grids, width(sys.stdout.isatty()),
                                                                coloured(sys.stdout.isatty())))


def width(terminal: bool) -> int:
    """Columns of the terminal, or as COLUMNS says; 140 where there is neither."""
    known = terminal or os.environ.get("COLUMNS", "").isdecimal()
    return shutil.get_terminal_size().columns if known else _UNKNOWN_WIDTH


def coloured(terminal: bool) -> bool:
    """Whether to mark text up: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return terminal and not os.environ.get("NO_COLOR")


def as_text(grids: list[Grid], width: int, colour: bool) -> str:
    """Tables for a terminal `width` columns wide.

    Long names are shortened in the middle and listed in full below; reasons are wrapped; verdicts and numbers are
    always whole. Where the columns do not fit side by side even so, each row is a block of lines.
    """
    stream = io.StringIO()
    console = Console(file=stream, width=max(width, 20), force_terminal=colour, highlight=False, emoji=False)
    for grid in grids:
        console.print(Text(printable(grid.title)))
        rows = [[_cell(text) for text in row] for row in grid.rows]
        widths = _widths(grid.header, rows, console.width)
        if rows and widths:
            _side_by_side(console, grid.header, rows, widths)
        elif rows:
            _in_blocks(console, grid.header, rows)
        console.print(Text(printable(grid.note)), "", sep="\n")
    return stream.getvalue()


def _cell(text: object) -> str:
    shown = printable(text)
    if len(shown) <= _LONGEST_CELL:
        return shown
    return f"{shown[:_LONGEST_CELL]}… ({len(shown) - _LONGEST_CELL} more characters)"


def _words(text: str) -> list[str]:
    return text.split() or [""]


def _least(text: str) -> int:
    """Cells that a text cannot do without: all of a short one, the longest word of another."""
    whole = cell_len(text)
    return whole if whole <= _LONGEST_WORD else min(_LONGEST_WORD, max(map(cell_len, _words(text))))


def _widths(header: Row, rows: list[list[str]], available: int) -> list[int] | None:
    """Cells of each column: what it needs, or a fair share of what narrow ones leave; None when they do not fit."""
    columns = [[name, *column] for name, column in zip(header, zip(*rows, strict=True), strict=True)] if rows else []
    least = [max(*map(_least, column[1:]), *map(cell_len, _words(column[0]))) for column in columns]
    whole = [max(cell_len(line) for text in column for line in text.split("\n")) for column in columns]
    spare = available - _BORDER - _PER_COLUMN * len(columns) - sum(least)
    if spare < 0:
        return None
    found = dict(enumerate(least))
    for place, index in enumerate(sorted(found, key=lambda index: whole[index] - least[index])):
        more = min(whole[index] - least[index], spare // (len(columns) - place))
        found[index] += more
        spare -= more
    return list(found.values())


def _side_by_side(console: Console, header: Row, rows: list[list[str]], widths: list[int]) -> None:
    table = Table()
    for name, size in zip(header, widths, strict=True):
        table.add_column(Text(visible(name)), width=size, overflow="fold")
    shortened: dict[str, int] = {}
    for row in rows:
        table.add_row(*(Text(_fitting(text, size, shortened)) for text, size in zip(row, widths, strict=True)))
    console.print(table)
    for name, number in shortened.items():
        console.print(Text(f"[{number}] {name}"), soft_wrap=True)


def _fitting(text: str, size: int, shortened: dict[str, int]) -> str:
    """A name that is wider than its column, by its beginning, its end and its number in the list below."""
    if cell_len(text) <= size or len(text.split()) != 1:
        return text
    mark = f" [{shortened.setdefault(text, len(shortened) + 1)}]"
    return middle(text, size - len(mark)) + mark


def middle(text: str, size: int) -> str:
    """Text of at most `size` cells, `…` for what is left out; no character is cut and no accent left alone."""
    if cell_len(text) <= size:
        return text
    head = _first(text, (size - 1) // 2)
    tail = _first(text[::-1], size - 1 - cell_len(head))[::-1]
    accents = "".join(takewhile(unicodedata.combining, tail))
    return f"{head}…{tail[len(accents):]}"


def _first(text: str, size: int) -> str:
    used = 0
    for end, char in enumerate(text):
        used += cell_len(char)
        if used > size:
            return text[:end]
    return text


def _in_blocks(console: Console, header: Row, rows: list[list[str]]) -> None:
    """The first cell, then a line for each other one. A word is never broken here: the terminal wraps it."""
    for row in rows:
        console.print(Text(row[0]), soft_wrap=True)
        for name, text in zip(header[1:], row[1:], strict=True):
            line = Text(f"{visible(name)}: {text}" if name else text)
            whole = max(map(cell_len, _words(line.plain))) > console.width - 2
            console.print(Text("  ") + line if whole else Padding(line, (0, 0, 0, 2), expand=False), soft_wrap=whole)


def as_markdown(grids: list[Grid]) -> str:
    blocks = []
    for grid in grids:
        header = "| " + " | ".join(map(markdown, grid.header)) + " |"
        lines = [header, "| " + " | ".join(["---"] * len(grid.header)) + " |",
                 *("| " + " | ".join(map(_markdown_cell, row)) + " |" for row in grid.rows)]
        parts = [f"### {markdown(grid.title)}\n", "\n".join(lines) + "\n" if grid.rows else "",
                 f"{markdown(grid.note)}\n" if grid.note else ""]
        blocks.append("\n".join(filter(None, parts)))
    return "\n".join(blocks)


def _markdown_cell(text: str) -> str:
    return markdown(_cell(one_line(text)))
