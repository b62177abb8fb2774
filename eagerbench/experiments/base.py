"""What an experiment is. A new one is a module in this package with an `EXPERIMENT`, and a perf test that names it by
`@pytest.mark.experiment("name")`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid
from eagerbench.results.record import Record
from eagerbench.workloads.base import Workload

if TYPE_CHECKING:
    from eagerbench.measuring.run import Run
    from eagerbench.selection import Selection

Lines = dict[tuple[str, str], dict[float, float]]


@dataclass(frozen=True)
class Plot:
    """Lines over one axis, both axes logarithmic.

    Attributes:
        lines: (variant, kind) → x → y, of records; a panel a kind, a colour a variant.
        across, up: names of the axes, with units.
    """

    lines: Callable[[Sequence[Record]], Lines]
    across: str
    up: str


@dataclass(frozen=True)
class Experiment:
    """A question that is put to every variant. Its module imports no torch: what measures does, when it runs.

    Attributes:
        name: as ids and markers have it.
        place: among the experiments, in running order.
        question: what it answers, as one sentence.
        workloads: those of a model, for a selection, in running order.
        run: what measures a case.
        record: type of its records.
        tables: of a model's records, at least one.
        headline: a record's main number with its unit, in a few characters: `998 sentences/s`.
        rank: the number that variants are ranked by, larger is better; None where it is undefined.
        plot: None without one.
        model: what it runs on when no model is named, where the default one has no head for it.
        everywhere: whether it is on every variant of the default run; else on few of them.
    """

    name: str
    place: int
    question: str
    workloads: "Callable[[ModelSpec, Selection], Sequence[Workload]]"
    run: "type[Run]"
    record: type[Record]
    tables: Callable[[str, Sequence[Record]], list[Grid]]
    headline: Callable[[Record], str]
    rank: Callable[[Record], float | None]
    plot: Plot | None = None
    model: str | None = None
    everywhere: bool = False
