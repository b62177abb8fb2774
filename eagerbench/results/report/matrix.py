"""The matrix of every planned case: variants down, models and experiments across, reasons in words and to filter by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from eagerbench.results import reasons
from eagerbench.results.grid import middle
from eagerbench.results.older import BEFORE
from eagerbench.results.report.source import Source

TIMED = "timed"


@dataclass(frozen=True)
class Cell:
    """Cases of a variant in a column.

    Attributes:
        text: `2 timed`, and each other status with its reason.
        status: the worst, for its colour.
        reasons: places in `Matrix.reasons`.
        wide: columns that it stands for.
    """

    text: Sequence[str]
    status: str
    reasons: Sequence[int]
    wide: int = 1


@dataclass(frozen=True)
class Reason:
    """A reason in a few words, what to type, and how many variants and cases it concerns."""

    label: str
    hint: str
    variants: int
    cases: int


@dataclass
class Matrix:
    """`models`: each with how many of the columns are its own; `columns`: experiments."""

    models: Sequence[tuple[str, int]]
    columns: Sequence[str]
    rows: list[tuple[str, list[Cell]]]
    reasons: Sequence[Reason] = field(default_factory=list)

    @property
    def reason_rows(self) -> list[list[str]]:
        return [[one.label, f"{one.variants:,}", f"{one.cases:,}", one.hint] for one in self.reasons]


_LONGEST = 42  # characters of a text in one column
_NOT_RUN = ("skipped", "not run", "")
_WORST = ("crashed", "failed", "unusable", "timed", "skipped")  # the first that a cell has, colours it


def of(sources: Sequence[Source]) -> Matrix:
    """Of all cells; where files have a case twice, of the last."""
    cells = list({cell["bench_id"]: {**BEFORE, **cell} for source in sources for cell in source.cells}.values())
    models = list(dict.fromkeys(cell["model"] for cell in cells))
    places = list(dict.fromkeys((cell["model"], cell["experiment"]) for cell in cells))
    places.sort(key=lambda place: models.index(place[0]))
    spans = [(model, sum(place[0] == model for place in places)) for model in models]
    not_timed = [cell for cell in cells if cell["status"] != TIMED]
    groups = reasons.grouped((cell["variant"], cell["reason"]) for cell in not_timed)
    numbers = {group.label: number for number, group in enumerate(groups)}
    by_place: dict[tuple[str, tuple[str, str]], list[Mapping[str, str]]] = {}
    for cell in cells:
        by_place.setdefault((cell["variant"], (cell["model"], cell["experiment"])), []).append(cell)
    rows = []
    for variant in dict.fromkeys(cell["variant"] for cell in cells):
        row = [_cell(by_place.get((variant, place), []), numbers) for place in places]
        rows.append((variant, _joined(row)))
    told = [Reason(group.label or "no reason given", ", ".join(group.hints), len(group.variants), group.cases)
            for group in groups]
    return Matrix(spans, [experiment for _, experiment in places], rows, told)


def _alike(cell: Cell) -> tuple:
    return tuple(cell.text), cell.status


def _joined(row: Sequence[Cell]) -> list[Cell]:
    """Neighbours that say the same of why nothing ran, as one."""
    found: list[Cell] = []
    for cell in row:
        if found and _alike(found[-1]) == _alike(cell) and cell.status in _NOT_RUN:
            found[-1] = replace(cell, wide=found[-1].wide + 1)
        else:
            found.append(cell)
    return [replace(cell, text=[_short(text, cell.wide) for text in cell.text]) for cell in found]


def _short(text: str, wide: int) -> str:
    """A reason is whole in the list of reasons."""
    return middle(text, _LONGEST * wide)


def _cell(cells: Sequence[Mapping[str, str]], numbers: Mapping[str, int]) -> Cell:
    timed = sum(cell["status"] == TIMED for cell in cells)
    text = [f"{timed} timed"] if timed else []
    found = []
    others = [cell for cell in cells if cell["status"] != TIMED]
    for status in dict.fromkeys(cell["status"] for cell in others):
        for group in reasons.grouped((cell["workload"], cell["reason"]) for cell in others if cell["status"] == status):
            many = f"{len(group.variants)} " if timed or len(group.variants) < len(others) else ""
            text.append(f"{many}{_said(status, group.label)}")
            found += [numbers[group.label]] if group.label in numbers else []
    statuses = {cell["status"] for cell in cells}
    worst = next((name for name in _WORST if name in statuses), next(iter(statuses), ""))
    return Cell(text or ["–"], worst, list(dict.fromkeys(found)))


def _said(status: str, label: str) -> str:
    """What a reader wants of a status: of a skipped case the reason, of one that did not come to run that alone."""
    if status == "skipped" and label:
        return label
    return status if status == "not run" or not label else f"{status}: {label}"
