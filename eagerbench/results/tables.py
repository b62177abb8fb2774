"""What a session found, as tables: those of each experiment, and the matrix of every case."""

from dataclasses import replace
from typing import Any

from eagerbench.experiments import EXPERIMENTS, Experiment
from eagerbench.results import spent
from eagerbench.results.decode import decode
from eagerbench.results.grid import Grid
from eagerbench.results.older import BEFORE
from eagerbench.results.record import Record
from eagerbench.results.records import is_ours


def tables(benchmarks: list[dict[str, Any]], cells: list[dict[str, str]], session: dict[str, Any]) -> list[Grid]:
    """The summary of a run: by experiment, then model; the matrix, and where the time went.

    Args:
        benchmarks: entries of a pytest-benchmark file; those without our record are left out.
        cells: `eagerbench.cells` of the file.
        session: `eagerbench.session` of the file, in seconds; those by part may be missing.
    """
    records = [decode(bench["extra_info"]) for bench in benchmarks if is_ours(bench)]
    cells = [{**BEFORE, **cell} for cell in cells]
    doubtful = _doubtful(records)
    records = [record for record in records if record.conditions.usable]
    grids = [grid for experiment in EXPERIMENTS.values() for grid in of_experiment(
        experiment, [record for record in records if record.identity.experiment == experiment.name])]
    return [*grids, _matrix(cells, session), *spent.of_session(session), *doubtful]


def of_experiment(experiment: Experiment, records: list[Record]) -> list[Grid]:
    """The tables of an experiment's usable records, model by model."""
    grids = []
    several = len({record.identity.device for record in records}) > 1
    for model, device in dict.fromkeys(map(_place, records)):
        of_model = [record for record in records if _place(record) == (model, device)]
        *others, last = experiment.tables(f"{model} on {device}" if several else model, of_model)
        grids += [*others, replace(last, note=" ".join(filter(None, [last.note, *_judging(of_model)])))]
    return grids


def _place(record: Record) -> tuple[str, str]:
    return record.identity.model, record.identity.device


def _doubtful(records: list[Record]) -> list[Grid]:
    """Cases whose times are in no table above, and those whose budget was not kept; nothing without any."""
    rows = [["unusable", record.identity.bench_id, record.conditions.unusable_reason] for record in records
            if not record.conditions.usable]
    count = len(rows)
    rows += [["overran", record.identity.bench_id, record.conditions.overrun] for record in records
             if record.conditions.overrun]
    note = (f"Other work disturbed {count} of {len(records)} cases: their times are in no table above. Stop the other "
            "work, or give fewer --threads, and run them again.") if count else ""
    return [Grid("what to doubt", ["", "case", "reason"], rows, note)] if rows else []


def _judging(records: list[Record]) -> list[str]:
    """What a reader must know about how the outputs were judged: a sentence each."""
    said = []
    places = {what: max(getattr(record.correctness, field) for record in records)
              for field, what in (("equal_nonfinite", "not finite"), ("equal_masked", "mask values"))}
    if any(places.values()):
        counts = " and ".join(f"{count} {what}" for what, count in places.items() if count)
        said.append(f"Up to {counts} in eager's output: equal in every row above, and excluded from its errors.")
    empty = [record.identity.bench_id for record in records if record.correctness.judged_values == 0]
    if empty:
        said.append(f"No other value was left to compare in {', '.join(empty)}.")
    if any(record.correctness.rows_depend_on_batch for record in records):
        said.append("In this model a row's output depends on its batch: it was compared in the same batch as eager's.")
    return said


def _matrix(cells: list[dict[str, str]], session: dict[str, Any]) -> Grid:
    models = list(dict.fromkeys(cell["model"] for cell in cells))
    places: dict[tuple[str, str], list[dict[str, str]]] = {}
    for cell in cells:
        places.setdefault((cell["variant"], cell["model"]), []).append(cell)
    rows = [[variant, *[_cell(places.get((variant, model), [])) for model in models]]
            for variant in dict.fromkeys(cell["variant"] for cell in cells)]
    wall = session["wall_s"]
    note = (f"{session['measured_s']:.0f} of {wall:.0f} s were spent in warm-up, timed and reference calls "
            f"({session['measured_s'] / wall:.0%}).") if wall else ""
    return Grid("every variant on every model", ["variant", *models], rows, note)


def _cell(cells: list[dict[str, str]]) -> str:
    """`4 timed`, or each reason once with where it holds when others were timed."""
    timed = [cell for cell in cells if cell["status"] == "timed"]
    parts = [f"{len(timed)} timed"] if timed else []
    for status, reason in dict.fromkeys((c["status"], c["reason"]) for c in cells if c["status"] != "timed"):
        held = _places([c for c in cells if (c["status"], c["reason"]) == (status, reason)], cells)
        where = f" ({', '.join(held)})" if held else ""
        parts.append(f"{status}{where}: {reason}")
    return "; ".join(parts)


def _places(held: list[dict[str, str]], cells: list[dict[str, str]]) -> list[str]:
    """Where some of a cell's cases are: nothing for all, `corpus` for all of an experiment, `corpus b8-sorted` for one.

    The experiment goes without saying where there is one only.
    """
    if len(held) == len(cells):
        return []
    experiments = dict.fromkeys(cell["experiment"] for cell in cells)
    if len(experiments) == 1:
        return [cell["workload"] for cell in held]
    places = []
    for experiment in experiments:
        here = [cell["workload"] for cell in held if cell["experiment"] == experiment]
        whole = len(here) == sum(cell["experiment"] == experiment for cell in cells)
        places += [experiment] if here and whole else [f"{experiment} {workload}" for workload in here]
    return places
