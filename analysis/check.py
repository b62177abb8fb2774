"""`python -m analysis check`: whether every record of a file is complete."""

import argparse
import sys
from pathlib import Path

from analysis import records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)


def run(chosen: argparse.Namespace) -> int:
    from analysis.experiments import TABLES

    content = records.read(chosen.file)
    found = records.problems(content) + records.unlisted(content, TABLES)
    ours = content.get("inference_bench")
    cells = ours.get("cells") if isinstance(ours, dict) else None
    found += [f"{cell.get('bench_id')}: {cell.get('reason')}" for cell in cells or [] if isinstance(cell, dict)
              and cell.get("status") == "failed"] if isinstance(cells, list) else []
    complete = records.own(content)
    unusable = [record for record in complete if records.unusable(record)]
    if not complete:
        found.append("no record of inference-bench in it")
    elif len(unusable) == len(complete):
        found.append(f"every time in it is unusable: {records.unusable(unusable[0])}")
    for line in found:
        print(f"{chosen.file}: {line}", file=sys.stderr)
    if not found:
        said = f", {len(unusable)} of them unusable" if unusable else ""
        print(f"{chosen.file}: {len(complete)} records, all complete{said}")
    return 4 if found else 0
