"""`eagerbench fleet`: files of several machines side by side: who wins where, and whether the ranking travels."""

import argparse
from pathlib import Path

from eagerbench import jsonfile
from eagerbench.shown import count, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="saved files, history entries, or "
                        "directories of them")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write an HTML page")
    parser.add_argument("--price", action="append", default=[], metavar="NAME=USD_PER_HOUR", help="price of a "
                        "machine, to print USD per million calls; NAME is the beginning of its eight digits or a part "
                        "of its name; repeatable")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")


def run(chosen: argparse.Namespace) -> int:
    from eagerbench.fleet import machines, tables
    from eagerbench.history import entry
    from eagerbench.results import grid, records

    entries = [entry.of_file(file) for file in records.expand(chosen.files)]
    to_eager = [one for one in entries if one.anchor == entry.EAGER]
    if not to_eager:
        raise jsonfile.UnreadableFile("these files have ratios to a revision only: a fleet compares ratios to eager")
    fleet = machines.of_entries(to_eager)
    price = machines.prices(chosen.price, fleet)
    grids = tables.grids(fleet, price)
    grid.show(grids, chosen.markdown)
    if len(to_eager) < len(entries):
        say(f"left out: {count(len(entries) - len(to_eager), 'verdict')}, which has no ratio to eager", error=True)
    if chosen.output:
        from eagerbench.results.report import look

        jsonfile.write_text(chosen.output, look.render("fleet.html.jinja", package="eagerbench.fleet", grids=grids))
        say(f"wrote {chosen.output}")
    return 0
