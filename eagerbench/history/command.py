"""`eagerbench history`: ratios of saved runs over time. `add` keeps them in a folder, `report` says what changed."""

import argparse
import json
from pathlib import Path

import msgspec

from eagerbench import jsonfile
from eagerbench.errors import BadInput
from eagerbench.shown import count, one_line, say

STORE = Path("history")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="add | report | schema")
    adding = what.add_parser("add", help="add the ratios of saved files or verdicts to the folder",
                             epilog=parser.epilog)
    adding.add_argument("files", type=Path, nargs="+", metavar="FILE", help="saved files, directories of them, or "
                        "verdicts of `gate`")
    _store(adding)
    made = what.add_parser("report", help="print what changed, vanished and is new", epilog=parser.epilog)
    _store(made)
    made.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write an HTML page")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write everything as JSON (`history schema`)")
    made.add_argument("--atom", type=Path, metavar="FILE", help="also write the changes as an Atom feed")
    made.add_argument("--least", default="2", metavar="PERCENT", help="smallest change that is reported (default: 2)")
    made.add_argument("--repository", type=Path, default=Path("."), metavar="DIR", help="repository of the commits, to "
                      "print their subjects (default: the working directory)")
    made.add_argument("--markdown", action="store_true", help="print Markdown")
    what.add_parser("schema", help="print the JSON schemas of an entry and of a report", epilog=parser.epilog)


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, default=STORE, metavar="DIR",
                        help=f"folder of the history (default: {STORE})")


def run(chosen: argparse.Namespace) -> int:
    return {"add": _add, "report": _report, "schema": _schema}[chosen.what](chosen)


def _add(chosen: argparse.Namespace) -> int:
    """Nothing is added when a file cannot be."""
    from eagerbench.history import entry, store
    from eagerbench.results import records

    made = [entry.of_file(file) for file in records.expand(chosen.files)]
    for one in made:
        file, new = store.add(chosen.store, one)
        said = f"added {file}: {count(len(one.points), 'ratio')} to {one.anchor}"
        say(said if new else f"{file}: already in the history")
    return 0


def _report(chosen: argparse.Namespace) -> int:
    from eagerbench.history import feed, page, report, store, text
    from eagerbench.option_values import number
    from eagerbench.results import grid

    least = number("--least", chosen.least, "percent")
    if least >= 100:
        raise BadInput(f"--least {chosen.least}: expected percent below 100, such as 2")
    found = report.of_store(store.read(chosen.store), least / 100, chosen.repository)
    grid.show(text.grids(found), chosen.markdown)
    for file, make in ((chosen.output, page.page), (chosen.atom, feed.atom), (chosen.json, _json)):
        if file:
            jsonfile.write_text(file, make(found))
            say(f"wrote {file}")
    for line in found.left_out:
        say(one_line(f"left out: {line}"), error=True)
    return 4 if found.left_out else 0


def _json(found: msgspec.Struct) -> str:
    return msgspec.json.encode(found).decode() + "\n"


def _schema(_: argparse.Namespace) -> int:
    from eagerbench.history.entry import Entry
    from eagerbench.history.report import Report

    made, parts = msgspec.json.schema_components([Entry, Report])
    say(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema",
                    "title": "entry and report of an eagerbench history", "anyOf": list(made), "$defs": parts},
                   indent=1))
    return 0
