"""The columns of the table of records: what each shows, and by what it is sorted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eagerbench.results.numbers import bounds, digits, percent
from eagerbench.results.report.source import Row, Source
from eagerbench.shown import visible

NOTHING = "–"
_OFTEN_ONE = ("model", "status")


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: in the address.
        title: with the unit.
        value: what it is sorted by; None where a row has nothing there.
        text: of the value. Without it the value is a text.
        usual: whether it is shown until columns are chosen.
        choice: whether a menu offers its values to filter by.
    """

    key: str
    title: str
    value: Callable[[Row], Any]
    text: Callable[[Row], str] | None = None
    usual: bool = True
    choice: bool = False

    @property
    def numeric(self) -> bool:
        return self.text is not None

    def shown(self, row: Row) -> str:
        value = self.value(row)
        if value is None or value == "":
            return NOTHING
        return visible(self.text(row) if self.text else value)


def _of(*path: str) -> Callable[[Row], Any]:
    """What stands there in a row's record; None where there is none."""
    def value(row: Row) -> Any:
        found: Any = row.record
        for name in path:
            found = getattr(found, name, None)
        return found
    return value


def _number(key: str, title: str, value: Callable[[Row], float | None], scale: float = 1.0, **more: Any) -> Column:
    return Column(key, title, lambda row: None if value(row) is None else scale * value(row),
                  lambda row: digits(scale * value(row)), **more)


def _headline(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row.headline, name, None)


def _interval(row: Row) -> float | None:
    """How wide the interval is: its ends' ratio."""
    low, high = _headline("low")(row), _headline("high")(row)
    return None if low is None or high is None or low <= 0 else high / low


def _turns(row: Row) -> float | None:
    return _of("timing", "pairs")(row)


COLUMNS = (
    Column("model", "model", lambda row: row.model, choice=True),
    Column("variant", "variant", lambda row: row.variant),
    Column("experiment", "experiment", lambda row: row.experiment, choice=True),
    Column("workload", "workload", lambda row: row.workload, choice=True),
    Column("class", "class", lambda row: getattr(row.headline, "tolerance", None), choice=True),
    Column("status", "status", lambda row: row.status, choice=True),
    _number("time", "time, ms", _headline("call_s"), 1e3),
    _number("speedup", "× eager", _headline("speedup")),
    Column("interval", "95 %", _interval, lambda row: bounds(row.headline.low, row.headline.high).strip()),
    Column("number", "main number", _headline("number")),
    Column("error", "error", _headline("error"), lambda row: percent(row.headline.error)),
    _number("memory", "peak memory, MiB", _headline("peak_bytes"), 2**-20),
    _number("steady", "steady memory, MiB", _of("result", "steady_rss_bytes"), 2**-20, usual=False),
    _number("held", "weights as held, MiB", _of("result", "weights_bytes"), 2**-20, usual=False),
    _number("artifact", "artifact, MiB", lambda row: _headline("artifact_bytes")(row) or None, 2**-20),
    _number("build", "build, s", _of("costs", "build_s")),
    _number("load", "load, s", _of("costs", "load_s"), usual=False),
    _number("first", "first call, ms", _of("costs", "first_call_s"), 1e3, usual=False),
    _number("weights", "float32 weights, MiB", _of("costs", "parameter_bytes"), 2**-20, usual=False),
    _number("pairs", "pairs of turns", _turns, usual=False),
    _number("cosine", "1 − cosine", lambda row: None if row.record is None else
            max(0.0, 1 - row.record.correctness.cosine), usual=False),
    _number("largest", "largest error", _of("correctness", "max_abs_error"), usual=False),
    _number("threads", "threads", _of("identity", "threads"), usual=False),
    Column("device", "device", _of("identity", "device"), usual=False),
    Column("dtype", "dtype", _of("identity", "dtype"), usual=False),
    Column("engagement", "evidence", _of("engagement", "engagement"), usual=False),
    Column("reason", "why it does not count", lambda row: row.reason, usual=False),
)


def of_files(sources: Sequence[Source], rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns: those that say the same of every row are not shown until they are chosen; with several files, the
    file too."""
    found = [replace(column, usual=len({column.value(row) for row in rows}) > 1) if column.key in _OFTEN_ONE else column
             for column in COLUMNS]
    if len(sources) > 1:
        found.append(Column("file", "file", lambda row: sources[row.source].file.name, choice=True))
    return tuple(found)
