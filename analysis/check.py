"""`python -m analysis check`: whether every record of a file is complete."""

import argparse
from pathlib import Path

from analysis import records, show
from analysis.shown import one_line, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)


def run(chosen: argparse.Namespace) -> int:
    content = records.read(chosen.file)
    found = records.problems(content)
    planned, _, bad = show.planned(content)
    found += bad
    found += [f"{cell['bench_id']}: {cell['reason']}" for cell in planned if cell["status"] == "failed"]
    complete = len(records.own(content))
    if not complete:
        found.append("no record of inference-bench in it")
    for line in found:
        say(one_line(f"{chosen.file}: {line}"), error=True)
    if not found:
        say(f"{chosen.file}: {complete} records, all complete")
    return 4 if found else 0
