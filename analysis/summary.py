"""What a session found, as tables: speed-ups, costs, and the matrix of every case."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A titled table of text. `note` stands below it."""

    title: str
    header: Row
    rows: list[Row]
    note: str = ""


def tables(benchmarks: list[dict[str, Any]], cells: list[dict[str, str]], session: dict[str, float]) -> list[Grid]:
    """The summary of a run.

    Args:
        benchmarks: entries of a pytest-benchmark file; those without our record are left out.
        cells: `inference_bench.cells` of the file.
        session: `inference_bench.session` of the file, in seconds.
    """
    records = [bench["extra_info"] for bench in benchmarks if "speedup_vs_eager" in bench["extra_info"]]
    grids = []
    for model in dict.fromkeys(record["model"] for record in records):
        of_model = [record for record in records if record["model"] == model]
        grids += [_speedups(model, of_model), _costs(model, of_model)]
    return [*grids, _matrix(cells, session)]


def _speedups(model: str, records: list[dict]) -> Grid:
    workloads = list(dict.fromkeys(record["workload"] for record in records))
    variants = list(dict.fromkeys(record["variant"] for record in records))
    by_place = {(record["variant"], record["workload"]): record for record in records}
    fastest = {(record["tolerance_class"], record["workload"]): record["variant"]
               for record in sorted(records, key=lambda record: record["speedup_vs_eager"])}
    rows = []
    for variant in variants:
        found = [by_place.get((variant, workload)) for workload in workloads]
        rows.append([variant, next(record["tolerance_class"] for record in found if record),
                     *[_ratio(record, fastest) if record else "–" for record in found]])
    best = max(records, key=lambda record: record["speedup_vs_eager"])
    note = ("Times faster than eager, with the 95 % interval of this process; * fastest of its tolerance class, a tie "
            f"where intervals overlap. Fastest of all: {best['variant']} at {best['workload']}, "
            f"{best['speedup_vs_eager']:.2f} times eager.")
    return Grid(f"{model}: speed-up over eager", ["variant", "tolerance class", *workloads], rows,
                note + _method_check(records))


def _ratio(record: dict, fastest: dict) -> str:
    mark = "*" if fastest[record["tolerance_class"], record["workload"]] == record["variant"] else ""
    bounds = record["speedup_low"], record["speedup_high"]
    interval = "" if bounds[0] is None else " [{}, {}]".format(*map(_bound, bounds))
    return f"{record['speedup_vs_eager']:.2f}{mark}{interval}"


def _bound(value: float) -> str:
    """Few pairs in bursts of a busy machine leave an interval that says nothing: its digits would not either."""
    return "<0.01" if value < 0.01 else ">99" if value > 99 else f"{value:.2f}"


def _method_check(records: list[dict]) -> str:
    """Eager against itself must come out as 1: the check of the method in every run."""
    eager = [record for record in records if record["variant"] == "eager" and record["speedup_low"] is not None]
    off = [record["workload"] for record in eager if not record["speedup_low"] <= 1 <= record["speedup_high"]]
    if not eager:
        return ""
    if not off:
        return f" Eager against itself is 1 within its interval in {len(eager)} of {len(eager)} workloads."
    return (f" Eager against itself is not 1 within its interval at {', '.join(off)}: expected once in 20, "
            "more often means that the machine is too noisy for these numbers.")


def _costs(model: str, records: list[dict]) -> Grid:
    rows = []
    for variant in dict.fromkeys(record["variant"] for record in records):
        found = [record for record in records if record["variant"] == variant]
        last = found[-1]
        rows.append([
            variant,
            f"{max(record['max_abs_error'] for record in found):.1e}",
            f"{min(record['cosine'] for record in found):.5f}",
            _bytes(max((record["peak_rss_bytes"] or 0 for record in found), default=0)),
            _bytes(last["artifact_bytes"]),
            f"{last['build_s']:.1f} s",
            _share(max((record["fraction_of_peak"] or 0 for record in found), default=0)),
            last["engagement"],
        ])
    header = ["variant", "largest error", "cosine", "peak memory", "artifact", "build", "of peak FLOP/s", "engagement"]
    return Grid(f"{model}: error, cost and evidence", header, rows,
                "Errors against eager on real positions, the worst workload. Peak memory of a fresh process.")


def _matrix(cells: list[dict[str, str]], session: dict[str, float]) -> Grid:
    models = list(dict.fromkeys(cell["model"] for cell in cells))
    places: dict[tuple[str, str], list[dict[str, str]]] = {}
    for cell in cells:
        places.setdefault((cell["variant"], cell["model"]), []).append(cell)
    rows = [[variant, *[_cell(places.get((variant, model), [])) for model in models]]
            for variant in dict.fromkeys(cell["variant"] for cell in cells)]
    wall = session["wall_s"]
    note = (f"{session['measured_s']:.0f} of {wall:.0f} s inside warm-up, timed and reference calls "
            f"({session['measured_s'] / wall:.0%}).") if wall else ""
    return Grid("every variant on every model", ["variant", *models], rows, note)


def _cell(cells: list[dict[str, str]]) -> str:
    """`4 timed`, or each reason once with the workloads it holds for when others were timed."""
    timed = [cell for cell in cells if cell["status"] == "timed"]
    parts = [f"{len(timed)} timed"] if timed else []
    for status, reason in dict.fromkeys((c["status"], c["reason"]) for c in cells if c["status"] != "timed"):
        held = [c["workload"] for c in cells if (c["status"], c["reason"]) == (status, reason)]
        where = f" ({', '.join(held)})" if len(held) < len(cells) else ""
        parts.append(f"{status}{where}: {reason}")
    return "; ".join(parts)


def _bytes(count: float) -> str:
    return f"{count / 2**20:.0f} MiB" if count else "–"


def _share(value: float) -> str:
    return f"{value:.0%}" if value else "–"


def _printable(text: str) -> str:
    """Ids and reasons come from files: no control character of theirs reaches a terminal or breaks a row."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def as_text(grids: list[Grid], width: int, colour: bool) -> str:
    """Tables for a terminal `width` columns wide (at least 140: narrower ones would break the numbers)."""
    stream = io.StringIO()
    console = Console(file=stream, width=max(width, 140), force_terminal=colour, highlight=False)
    for grid in grids:
        table = Table()
        for index, name in enumerate(grid.header):
            table.add_column(name, no_wrap=index == 0, overflow="fold")
        for row in grid.rows:
            table.add_row(*(Text(_printable(text)) for text in row))
        shown = [table] if grid.rows else []
        console.print(Text(_printable(grid.title)), *shown, Text(_printable(grid.note)), "", sep="\n")
    return stream.getvalue()


def _markdown_cell(text: str) -> str:
    return _printable(text).replace("|", r"\|").replace("\n", " ")


def as_markdown(grids: list[Grid]) -> str:
    blocks = []
    for grid in grids:
        lines = [grid.header, ["---"] * len(grid.header), *grid.rows]
        table = "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)
        parts = [f"### {grid.title}\n", f"{table}\n" if grid.rows else "", f"{grid.note}\n" if grid.note else ""]
        blocks.append("\n".join(filter(None, parts)))
    return "\n".join(blocks)
