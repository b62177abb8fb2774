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
Number = tuple[float, float | None, float | None]  # with the ends of its 95 % interval, None where it has none


@dataclass(frozen=True)
class Plot:
    """Lines over one axis, both axes logarithmic.

    Attributes:
        lines: (variant, kind) → x → y, of records; a panel a kind, a colour a variant.
        across, up: names of the axes, with units.
        read: how to read it, in two or three sentences.
        power: what becomes of `up` when a call takes twice the time: 1 twice as much, -1 half.
    """

    lines: Callable[[Sequence[Record]], Lines]
    across: str
    up: str
    read: str = ""
    power: int = 1


@dataclass(frozen=True)
class Dots:
    """A mark a record: variants below each other, their number across.

    Attributes:
        number: the number with its interval; None where a record has none.
        across: name of the axis, with its unit.
        read: how to read it, in two or three sentences.
        kind: what marks of one colour have in common.
        most: whether more is better.
        log: whether the axis is logarithmic.
        line: where a line marks what eager has, or None.
        power: as that of `Plot`, where the number has no interval of its own; 0 where it is no matter of time.
        more: further numbers of a record on the same axis, by what they are; `name` is what `number` is called then.
    """

    number: Callable[[Record], Number | None]
    across: str
    read: str
    kind: Callable[[Record], str] = lambda record: record.identity.workload
    most: bool = True
    log: bool = False
    line: float | None = None
    power: int = 0
    name: str = ""
    more: Callable[[Record], dict[str, float]] = lambda record: {}

    def colour(self, record: Record, several: bool) -> str:
        """What a record's mark has in common with others: the workload beside the number's name where there are
        several."""
        kind = self.kind(record)
        return ", ".join(filter(None, [self.name, kind if several else ""])) or kind


@dataclass(frozen=True)
class Bars:
    """A bar a record made of parts that add up: variants below each other.

    Attributes:
        parts: name → number, in their order.
        across: name of the axis, with its unit.
        read: how to read it, in two or three sentences.
    """

    parts: Callable[[Record], dict[str, float]]
    across: str
    read: str


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
        plot: how a report draws it; None without one.
        most_s: seconds after which a case is taken to hang, unless --case-timeout says otherwise: many times what the
            slowest case is known to take.
        model: what it runs on when no model is named, where the default one has no head for it.
        everywhere: whether it is on every variant of the default run; else on few of them.
        named: whether it is only run when its file is named, or in the full grid.
        wants: what to add where a selection gives it no case.
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
    plot: Plot | Dots | Bars | None = None
    most_s: float = 3600.0
    model: str | None = None
    everywhere: bool = False
    named: bool = False
    wants: str = "add --variant '*'"
