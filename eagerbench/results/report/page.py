"""The report: everything that its page says, put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eagerbench.case import DEFAULT
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import tables as tables_of
from eagerbench.results.decision import Budget, Verdict
from eagerbench.results.grid import Grid
from eagerbench.results.report import (
    advice,
    columns,
    details,
    experiments,
    look,
    machine,
    matrix,
    overview,
    panels,
    tree,
)
from eagerbench.results.report.columns import Column
from eagerbench.results.report.drawing import CLASS_COLOURS, Figure
from eagerbench.results.report.source import Row, Source, latest, rows
from eagerbench.shown import count, visible

MOST_TREES = 4
MOST_AT_ONCE = 500  # rows of folded tables that a browser makes before they are unfolded


@dataclass(frozen=True)
class Section:
    """An experiment: its question, its figures, and its tables."""

    name: str
    question: str
    read: str
    figures: Sequence[Figure]
    grids: Sequence[Grid]
    more: str = ""

    @property
    def long(self) -> bool:
        """Whether a browser makes its tables only when they are unfolded or printed."""
        return sum(len(grid.rows) for grid in self.grids) > MOST_AT_ONCE


def page(sources: Sequence[Source], budget: Budget | None = None, base: Path | None = None,
         compared: Sequence[Grid] = (), statuses: Sequence[str] = ()) -> str:
    """The whole page of files.

    Args:
        budget: of the user; None for the usual ones.
        base: file that `compared` compares with.
        compared: its tables; `statuses` get their colours.
    """
    every = rows(sources)
    current = latest(every)
    adviser = advice.Adviser(sources, _names(every, sources))
    advices = adviser.of(budget)
    standing = _standing(adviser, budget, advices)
    trade, bars = overview.scatters(current, standing, _taken(advices)), panels.bars(current, standing)
    sections = _sections(current)
    shown = columns.of_files(sources, every)
    figures = [*trade, *bars, *(one for section in sections for one in section.figures)]
    data, said = _data(every, shown), [details.of(row, turns=False) for row in every]
    return look.render(
        "report.html.jinja", figures, ["table.js", "report.js"], data, _details(every, said),
        title=_title(current, sources), about=machine.line(sources), counts=_counts(every),
        left_out=machine.left_out(sources), **_recommended(adviser, advices), trade=trade, panels=bars,
        more_places=max(0, len(overview.latency_places(current)) - overview.MOST_PANELS),
        trees=_trees(adviser, current), sections=sections, matrix=matrix.of(sources), columns=shown,
        rows=data["rows"], usual=[place for place, one in enumerate(shown) if one.usual],
        plain=list(map(_plain_detail, every, said)), facts=machine.facts(sources), versions=machine.versions(sources),
        spent=machine.spent(sources),
        commands=machine.commands(sources, base), base=base, compared=compared, statuses=statuses)


def _recommended(adviser: advice.Adviser, advices: Sequence[advice.Advice]) -> dict[str, Any]:
    """What the template says of recommendations."""
    def picks(model: str, device: str) -> list[advice.Pick]:
        return advice.picks([_verdict_of(one, model, device) for one in advices])

    return {"advices": advices, "models": _models(advices), "picks": picks, "most_picks": advice.MOST_PICKS,
            "pick_header": advice.HEADER, "verdict_of": _verdict_of, "split": advice.split, "unadvised": adviser.left}


def _names(found: Sequence[Row], sources: Sequence[Source]) -> list[str]:
    """Models with a record first."""
    return list(dict.fromkeys([*(row.model for row in found if row.record is not None),
                               *(cell["model"] for source in sources for cell in source.cells)]))


def _title(current: Sequence[Row], sources: Sequence[Source]) -> str:
    models = list(dict.fromkeys(row.model for row in current)) or _names(current, sources)
    return f"Which one to take: {', '.join(models[:3])}{' …' if len(models) > 3 else ''}"


def _counts(every: Sequence[Row]) -> str:
    """`226 records, 3 failed cases`."""
    records = sum(row.record is not None for row in every)
    failed = len(every) - records
    unusable = sum(row.status == "unusable" for row in every)
    parts = [count(records, "record"), *([f"{unusable:,} of them unusable"] if unusable else []),
             *([count(failed, "failed case")] if failed else [])]
    return ", ".join(parts)


def _standing(adviser: advice.Adviser, budget: Budget | None,
              advices: Sequence[advice.Advice]) -> dict[tuple[str, str], Verdict]:
    """What stands in the pictures: by the user's budget, without any by none."""
    decision = advices[0].decision if budget is not None else adviser.decide(Budget())[0]
    return {(one.model, one.device): one for one in decision.verdicts} if decision else {}


def _taken(advices: Sequence[advice.Advice]) -> dict[overview.Place, set[str]]:
    found: dict[overview.Place, set[str]] = {}
    for one in advices:
        for verdict in one.verdicts:
            found.setdefault((verdict.model, verdict.device), set()).update(filter(None, [verdict.choice]))
    return found


def _models(advices: Sequence[advice.Advice]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((one.model, one.device) for found in advices for one in found.verdicts))


def _verdict_of(found: advice.Advice, model: str, device: str) -> Verdict | None:
    return next((one for one in found.verdicts if (one.model, one.device) == (model, device)), None)


def _trees(adviser: advice.Adviser, current: Sequence[Row]) -> list[tuple[str, tree.Node]]:
    """Of the first models that have a latency record."""
    places = overview.latency_places(current)
    found = []
    for model, device in list(dict.fromkeys(key[:2] for key in places))[:MOST_TREES]:
        workloads = {row.workload: overview.shape(row) for key in reversed(places) if key[:2] == (model, device)
                     for row in current if row.record is not None and row.experiment == DEFAULT
                     and overview.place(row) == key}
        made = tree.of(adviser, model, device, list(workloads.items()))
        if made is not None:
            found.append((model if device == "cpu" else f"{model} on {device}", made))
    return found


def _sections(current: Sequence[Row]) -> list[Section]:
    """Of every experiment that has a record, in running order."""
    found = []
    for name, experiment in EXPERIMENTS.items():
        here = [row for row in current if row.experiment == name and row.usable]
        if not here:
            continue
        models = len({(row.model, row.record.identity.device) for row in here})
        more = (f"Drawn are the first {experiments.MOST_MODELS} of {models} models; the tables have all."
                if models > experiments.MOST_MODELS else "")
        found.append(Section(name, experiment.question, getattr(experiment.plot, "read", ""),
                             experiments.figures(name, here),
                             tables_of.of_experiment(experiment, [row.record for row in here]), more))
    return found


def _data(every: Sequence[Row], shown: Sequence[Column]) -> dict[str, Any]:
    """What the table of records and its plot are made of in the page."""
    return {
        "columns": [{"key": one.key, "title": one.title, "numeric": one.numeric, "usual": one.usual,
                     "choice": one.choice} for one in shown],
        "rows": [[one.shown(row) for one in shown] for row in every],
        "values": [[_rounded(one.value(row)) for one in shown if one.numeric] for row in every],
        "ids": [visible(row.id) for row in every], "colours": CLASS_COLOURS,
    }


def _details(every: Sequence[Row], said: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What an opened row shows; each experiment's names of fields stand once. `said` is each row's without turns."""
    turns = sum(row.record is not None for row in every) <= details.MOST_WITH_TURNS
    names: dict[str, list[str]] = {}
    values = []
    for row in every:
        found = details.fields(row)
        known = names.setdefault(row.experiment, [])
        known += [name for name in found if name not in known]
        values.append([found.get(name, "") for name in known])
    return {"details": [details.of(row, turns) for row in every] if turns else said, "names": names, "fields": values,
            "quantiles": list(details.QUANTILES), "experiments": [row.experiment for row in every]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _plain_detail(row: Row, found: dict[str, Any]) -> list[str]:
    """A record's name, its rounds and evidence in a line of text each, for a page without scripts."""
    names = [f"{percent} %" for percent in details.QUANTILES]
    quantiles = ["; ".join(f"{name} {value:g}" for name, value in zip(names, found[key][1:], strict=True))
                 if key in found else "–" for key in ("rounds", "reference", "ratios")]
    facts = "; ".join(f"{name} {value}" for name, value in found.get("facts", {}).items())
    log = found.get("log", "").replace("\n", " / ")
    evidence = ". ".join(filter(None, [found.get("evidence"), facts, row.reason, log]))
    return [row.id, *quantiles, evidence or "–"]
