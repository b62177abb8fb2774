"""`eagerbench check`: whether every record of a file is complete."""

import argparse
from pathlib import Path

from eagerbench.results import records, show
from eagerbench.shown import count, one_line, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)


def run(chosen: argparse.Namespace) -> int:
    from eagerbench.results.experiment_tables import TABLES

    content = records.read(chosen.file)
    found = records.problems(content) + records.unlisted(content, TABLES)
    planned, _, bad = show.planned(content)
    found += bad
    found += [f"{cell['bench_id']}: {cell['reason']}" for cell in planned if cell["status"] == "failed"]
    complete = records.own(content)
    unusable = [record for record in complete if records.unusable(record)]
    if not complete:
        found.append("no record of eagerbench in it")
    elif len(unusable) == len(complete):
        found.append(f"every time in it is unusable: {records.unusable(unusable[0])}")
    for line in found:
        say(one_line(f"{chosen.file}: {line}"), error=True)
    if not found:
        said = f", {len(unusable)} of them unusable" if unusable else ""
        say(f"{chosen.file}: {count(len(complete), 'record')}, all complete{said}")
    return 4 if found else 0
