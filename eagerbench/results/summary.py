"""`eagerbench summary`: the tables of a saved file."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from eagerbench import jsonfile
from eagerbench.results import records, spent
from eagerbench.shown import one_line, say

_CELL = ("model", "variant", "workload", "reason")
_NO_SESSION = {"wall_s": 0.0, "measured_s": 0.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="saved file")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")


def run(chosen: argparse.Namespace) -> int:
    from eagerbench.results import grid
    from eagerbench.results.tables import tables

    content = records.read(chosen.file)
    benchmarks, problems = records.sound(content)
    cells, session, bad = planned(content)
    jsonfile.refuse(chosen.file, problems if not benchmarks else [])
    left_out = [*problems, *bad]
    if not benchmarks and not cells and not left_out:
        say(f"{chosen.file}: no record of eagerbench in it: no tables to print; `compare` reads any "
            "pytest-benchmark file")
        return 0
    found = tables(benchmarks, cells, session)
    if left_out:
        found.append(grid.Grid("Left out, as it is not complete", ["record and reason"],
                                [[one_line(line)] for line in left_out]))
    grid.show(found, chosen.markdown)
    return 4 if left_out else 0


def planned(content: dict[str, Any]) -> tuple[list[dict[str, str]], dict[str, Any], list[str]]:
    """The cells that a matrix can be made of, the seconds of the session, and a line for whatever is neither."""
    ours = content.get("eagerbench") or {}
    if not isinstance(ours, dict):
        return [], _NO_SESSION, ["eagerbench is no object"]
    cells, bad = records.cells(content)
    lines = [f"eagerbench.cells: {name}: {reason}" for name, reason in bad.items()]
    lines += [f"eagerbench.cells: {cell['bench_id']}: without {', '.join(_CELL)}" for cell in cells
              if not all(name in cell for name in _CELL)]
    session = ours.get("session", _NO_SESSION)
    if not isinstance(session, dict) or not all(type(session.get(name)) in (int, float) and 0 <= session[name] < 1e9
                                                for name in _NO_SESSION):
        session = _NO_SESSION
        lines.append("eagerbench.session: no wall_s and measured_s in seconds")
    try:
        session = {**session, "spent": spent.read(session.get("spent", {}))}
    except msgspec.ValidationError as error:
        session = {**session, "spent": {}}
        lines.append(f"eagerbench.session.spent: {error}")
    return [cell for cell in cells if all(name in cell for name in _CELL)], session, lines
