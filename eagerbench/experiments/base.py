"""The interface of an experiment. To add one, write a module in this package with an `EXPERIMENT`, and a perf test
marked `@pytest.mark.experiment("name")`."""

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
        lines: (variant, kind) → x → y, of records; one panel for each kind, one colour for each variant.
        across, up: names of the axes, with units.
        read: how to read it, in two or three sentences.
        power: how `up` changes when a call takes twice as long: 1 doubles, -1 halves.
    """

    lines: Callable[[Sequence[Record]], Lines]
    across: str
    up: str
    read: str = ""
    power: int = 1


@dataclass(frozen=True)
class Dots:
    """A mark for each record: variants below each other, their number across.

    Attributes:
        number: the number with its interval; None if a record has none.
        across: name of the axis, with its unit.
        read: how to read it, in two or three sentences.
        kind: what marks of one colour have in common.
        most: whether more is better.
        log: whether the axis is logarithmic.
        line: position of a line that marks eager, or None.
        power: as in `Plot`, for a number without an interval; 0 if it does not depend on time.
        more: further numbers of a record on the same axis, by name; `name` is then the name of `number`.
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
    """A bar for each record, of parts that add up: variants below each other.

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
    """A question that is asked of every variant. Its module does not import torch at the top.

    Attributes:
        name: its name in ids and markers.
        place: its place in the running order.
        question: what it answers, as one sentence.
        workloads: the workloads of a model in a selection, in running order.
        run: the class that measures a case.
        record: type of its records.
        tables: tables of a model's records, at least one.
        headline: a record's main number with its unit, in a few characters: `998 sentences/s`.
        rank: the number that variants are ranked by, larger is better; None if it is undefined.
        plot: how a report draws it; None without a plot.
        most_s: seconds after which a case counts as hanging, unless --case-timeout says otherwise: many times as long
            as the slowest known case.
        model: the model that it uses when none is named, if the default model has no head for it.
        everywhere: whether the default run has it on every variant, or on a few only.
        named: whether it runs only when its file is named, or in the full grid.
        wants: what to add when a selection gives it no case.
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
