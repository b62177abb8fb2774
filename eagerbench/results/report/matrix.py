"""The matrix of every planned case: variants down, models and experiments across, reasons in words and to filter by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eagerbench.results import reasons
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
    columns: Sequence[str]
    rows: list[tuple[str, list[Cell]]]
    reasons: Sequence[Reason] = field(default_factory=list)

    @property
    def reason_rows(self) -> list[list[str]]:
        return [[one.label, f"{one.variants:,}", f"{one.cases:,}", one.hint] for one in self.reasons]


_WORST = ("crashed", "failed", "unusable", "timed", "skipped")  # the first that a cell has, colours it


def of(sources: Sequence[Source]) -> Matrix:
    """Of all cells; where files have a case twice, of the last."""
    cells = list({cell["bench_id"]: {**BEFORE, **cell} for source in sources for cell in source.cells}.values())
    models = list(dict.fromkeys(cell["model"] for cell in cells))
    places = list(dict.fromkeys((cell["model"], cell["experiment"]) for cell in cells))
    places.sort(key=lambda place: models.index(place[0]))
    columns = [experiment if len(models) == 1 else f"{model}: {experiment}" for model, experiment in places]
    not_timed = [cell for cell in cells if cell["status"] != TIMED]
    groups = reasons.grouped((cell["variant"], cell["reason"]) for cell in not_timed)
    numbers = {group.label: number for number, group in enumerate(groups)}
    by_place: dict[tuple[str, tuple[str, str]], list[Mapping[str, str]]] = {}
    for cell in cells:
        by_place.setdefault((cell["variant"], (cell["model"], cell["experiment"])), []).append(cell)
    rows = []
    for variant in dict.fromkeys(cell["variant"] for cell in cells):
        row = [_cell(by_place.get((variant, place), []), numbers) for place in places]
        rows.append((variant, [_joined(row)] if len(set(map(_alike, row))) == 1 and row[0].status == "skipped" else row))
    return Matrix(columns, rows, [Reason(group.label or "no reason given", ", ".join(group.hints), len(group.variants),
                                         group.cases) for group in groups])


def _alike(cell: Cell) -> tuple:
    return tuple(cell.text), cell.status


def _joined(row: Sequence[Cell]) -> Cell:
    first = row[0]
    return Cell(first.text, first.status, first.reasons, len(row))


def _cell(cells: Sequence[Mapping[str, str]], numbers: Mapping[str, int]) -> Cell:
    timed = sum(cell["status"] == TIMED for cell in cells)
    text = [f"{timed} timed"] if timed else []
    found = []
    others = [cell for cell in cells if cell["status"] != TIMED]
    for status in dict.fromkeys(cell["status"] for cell in others):
        for group in reasons.grouped((cell["workload"], cell["reason"]) for cell in others if cell["status"] == status):
            some = f" ({', '.join(group.variants)})" if timed or len(group.variants) < len(others) else ""
            text.append(f"{status}{some}: {group.label}" if group.label else f"{status}{some}")
            found += [numbers[group.label]] if group.label in numbers else []
    statuses = {cell["status"] for cell in cells}
    worst = next((name for name in _WORST if name in statuses), next(iter(statuses), ""))
    return Cell(text, worst, list(dict.fromkeys(found)))
