"""`python -m analysis summary`: the tables of a saved file."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from analysis import jsonfile, records

_CELL = ("bench_id", "model", "variant", "workload", "status", "reason")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", action="store_true", help="as Markdown")


def run(chosen: argparse.Namespace) -> int:
    from analysis import summary

    content = records.read(chosen.file)
    jsonfile.refuse(chosen.file, [*records.problems(content), *_problems(content)])
    ours = content.get("inference_bench") or {}
    tables = summary.tables(content["benchmarks"], ours.get("cells", []),
                            ours.get("session", {"wall_s": 0.0, "measured_s": 0.0}))
    width = shutil.get_terminal_size().columns
    print(summary.as_markdown(tables) if chosen.markdown else summary.as_text(tables, width, sys.stdout.isatty()))
    return 0


def _problems(content: dict[str, Any]) -> list[str]:
    """What the tables need besides complete records."""
    found = [f"benchmark {index}: no extra_info in it" for index, bench in enumerate(content["benchmarks"])
             if not isinstance(bench.get("extra_info"), dict)]
    records_of = [bench.get("extra_info") or {} for bench in content["benchmarks"]]
    found += [f"benchmark {index}: speedup_vs_eager without a model" for index, record in enumerate(records_of)
              if "speedup_vs_eager" in record and "model" not in record]
    ours = content.get("inference_bench")
    if ours is None:
        return found
    if not isinstance(ours, dict):
        return [*found, "inference_bench is no object"]
    cells, session = ours.get("cells", []), ours.get("session", {"wall_s": 0.0, "measured_s": 0.0})
    if not isinstance(cells, list) or not all(isinstance(cell, dict) and all(isinstance(cell.get(name), str)
                                                                            for name in _CELL) for cell in cells):
        found.append(f"inference_bench.cells: a cell without {', '.join(_CELL)}")
    if not isinstance(session, dict) or not all(type(session.get(name)) in (int, float) and 0 <= session[name] < 1e9
                                                for name in ("wall_s", "measured_s")):
        found.append("inference_bench.session: no wall_s and measured_s in seconds")
    return found
