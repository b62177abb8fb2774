"""`eagerbench report`: saved files as one HTML file, the recommendation first."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from eagerbench import jsonfile
from eagerbench.results import recommend
from eagerbench.results.decision import Budget
from eagerbench.results.grid import Grid
from eagerbench.shown import one_line, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.json", help="saved files, or directories of them")
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE",
                        help="file to write (default: report.html)")
    parser.add_argument("--base", type=Path, metavar="OLD.json", help="older saved file, or a directory of "
                        "them: the report also compares with it, as `compare` does")
    recommend.add_budget(parser)


def run(chosen: argparse.Namespace) -> int:
    budget = recommend.budget_of(chosen)
    left_out = write(chosen.files, chosen.output, None if budget == Budget() else budget, chosen.base)
    for line in left_out:
        say(one_line(f"left out: {line}"), error=True)
    say(f"wrote {chosen.output}")
    return 4 if left_out else 0


def write(files: Sequence[Path], output: Path, budget: Budget | None = None, base: Path | None = None) -> list[str]:
    """Write the report of files; a line for whatever of them is not in it.

    Raises:
        UnreadableFile: a file cannot be read, or `output` not written.
    """
    from eagerbench.results.report import machine, page, source

    sources = source.read(files)
    compared, statuses = _compared(base, files) if base else ((), ())
    jsonfile.write_text(output, page.page(sources, budget, base, compared, statuses))
    return machine.left_out(sources)


def _compared(base: Path, files: Sequence[Path]) -> tuple[list[Grid], list[str]]:
    """The tables of `compare`, and the statuses in them."""
    from eagerbench.gate import comparison_report
    from eagerbench.gate.compare import compare
    from eagerbench.results import records

    found = compare(records.load_all([base]), records.load_all(list(files)))
    return comparison_report.grids(found), sorted({row["status"] for row in found["benchmarks"]})
