"""`eagerbench check`: whether every record of a file is complete; with `--schema`, what a record holds."""

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec

from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import records, summary
from eagerbench.shown import count, one_line, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", type=Path, nargs="?", metavar="FILE", help="saved file to check")
    what.add_argument("--schema", action="store_true", help="print the JSON schema of a record and exit")


def run(chosen: argparse.Namespace) -> int:
    if chosen.schema:
        say(json.dumps(schema(), indent=1))
        return 0
    content = records.read(chosen.file)
    found = records.problems(content)
    planned, _, bad = summary.planned(content)
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


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `extra_info` of a benchmark of ours, in files written today."""
    kinds, definitions = [], {}
    for experiment in EXPERIMENTS.values():  # one by one: each has a `Result`, and msgspec mixes them up
        (made,), parts = msgspec.json.schema_components([experiment.record],
                                                        ref_template=f"#/$defs/{experiment.name}.{{name}}")
        definitions |= {f"{experiment.name}.{name}": part for name, part in parts.items()}
        own = {"properties": {"identity": {"properties": {"experiment": {"const": experiment.name}}}}}
        kinds.append({"title": experiment.name, "description": experiment.question, "allOf": [made, own]})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "record of eagerbench",
            "anyOf": kinds, "$defs": definitions}
