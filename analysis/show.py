"""`python -m analysis summary`: the tables of a saved file."""

import argparse
from pathlib import Path
from typing import Any

from analysis import jsonfile, records

_CELL = ("bench_id", "model", "variant", "workload", "status", "reason")
_NO_SESSION = {"wall_s": 0.0, "measured_s": 0.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", action="store_true", help="as Markdown")


def run(chosen: argparse.Namespace) -> int:
    from analysis import grid, summary

    content = records.read(chosen.file)
    jsonfile.refuse(chosen.file, records.problems(content) or _problems(content))
    ours = content.get("inference_bench") or {}
    tables = summary.tables(content["benchmarks"], ours.get("cells", []), ours.get("session", _NO_SESSION))
    grid.show(tables, chosen.markdown)
    return 0


def _problems(content: dict[str, Any]) -> list[str]:
    """What the tables need besides complete records."""
    found = []
    for index, bench in enumerate(content["benchmarks"]):
        record = bench.get("extra_info")
        if not isinstance(record, dict):
            found.append(f"benchmark {index}: no extra_info in it")
    ours = content.get("inference_bench")
    if ours is not None and not isinstance(ours, dict):
        return [*found, "inference_bench is no object"]
    cells, session = (ours or {}).get("cells", []), (ours or {}).get("session", _NO_SESSION)
    if not isinstance(cells, list) or not all(isinstance(cell, dict) and all(isinstance(cell.get(name), str)
                                                                            for name in _CELL) for cell in cells):
        found.append(f"inference_bench.cells: a cell without {', '.join(_CELL)}")
    if not isinstance(session, dict) or not all(type(session.get(name)) in (int, float) and 0 <= session[name] < 1e9
                                                for name in _NO_SESSION):
        found.append("inference_bench.session: no wall_s and measured_s in seconds")
    return found
