"""What a record says in one line: the only place from which the terminal's lines and last screen read records."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eagerbench.results.older import BEFORE, flat
from eagerbench.results.records import unusable

ENOUGH_PAIRS = 6  # of turns: what an exact 95 % interval needs
_MIB = 2**20


@dataclass(frozen=True)
class Headline:
    """One record, reduced to what is shown of it.

    Attributes:
        place: its workload, `8×128` of a latency case, otherwise `corpus b8-sorted-n200`.
        call_s: median seconds of a timed call (of a pass, in corpus).
        speedup, low, high: times faster than eager, with its 95 % interval; None where it is not measured in turns.
        pairs: pairs of turns behind the interval; None where the record does not say.
        number: the experiment's own main number as text; empty of latency, whose it is `speedup`.
        rank: the main number, larger is better; None where it is undefined.
        error: size of the difference from eager's output over the size of that output; None where it is unknown.
    """

    model: str
    variant: str
    experiment: str
    place: str
    device: str
    threads: int | None
    tolerance: str
    call_s: float
    speedup: float | None
    low: float | None
    high: float | None
    pairs: int | None
    number: str
    rank: float | None
    error: float | None
    artifact_bytes: int | None
    peak_bytes: int | None
    unusable: str

    @property
    def name(self) -> str:
        return f"{self.variant} · {self.place}"

    @property
    def floor(self) -> float:
        """What the record is ranked by: the low end of the speed-up's interval; 0 without an interval."""
        return self.low or 0.0

    @property
    def few_pairs(self) -> bool:
        return self.low is None or (self.pairs is not None and self.pairs < ENOUGH_PAIRS)

    @property
    def result(self) -> str:
        """`21.0 ms   6.9× [4.5, 10.6]`, or the main number of another experiment."""
        if self.number:
            return self.number
        if self.speedup is None:
            return milliseconds(self.call_s)
        return f"{milliseconds(self.call_s)}   {times(self.speedup)}{bounds(self.low, self.high)}"


def of_bench(bench: Mapping[str, Any]) -> Headline | None:
    """A benchmark of a file, or of this session; None without a record of ours."""
    record = flat(bench["extra_info"])
    if not {"model", "variant", "workload", "tolerance_class"} <= record.keys():
        return None
    main = _MAIN.get(record["experiment"], _NO_NUMBER)
    value = record.get(main.field)
    cosine = record.get("cosine")
    return Headline(
        model=record["model"], variant=record["variant"], experiment=record["experiment"], place=_place(record),
        device=record.get("device", "cpu"), threads=record.get("threads"), tolerance=record["tolerance_class"],
        call_s=bench["stats"]["median"], speedup=record.get("speedup_vs_eager"), low=record.get("speedup_low"),
        high=record.get("speedup_high"), pairs=record.get("pairs"),
        number="" if record["experiment"] == BEFORE["experiment"] else _number(main, value, record),
        rank=None if value is None else value if main.largest_first else -value,
        error=None if cosine is None else math.sqrt(max(0.0, 2 * (1 - cosine))),
        artifact_bytes=record.get("artifact_bytes"), peak_bytes=record.get("peak_rss_bytes"),
        unusable=unusable(record))


@dataclass(frozen=True)
class _Main:
    """An experiment's main number: its field, its text, and whether more of it is better."""

    field: str
    text: Callable[[float, Mapping[str, Any]], str]
    largest_first: bool = True


_NO_NUMBER = _Main("speedup_vs_eager", lambda value, record: f"{value:.2f} times eager")
_MAIN = {
    "latency": _Main("speedup_vs_eager", lambda value, record: times(value)),
    "corpus": _Main("sentences_per_s", lambda value, record: f"{value:,.0f} sentences/s"),
    "padding": _Main("padding_cost", lambda value, record: f"padding costs {times(value)}" + bounds(
        record.get("padding_cost_low"), record.get("padding_cost_high")), largest_first=False),
    "length": _Main("cost_per_token_s", lambda value, record: f"{1e6 * value:,.1f} µs a token", largest_first=False),
    "startup": _Main("break_even_calls", lambda value, record: f"pays back after {value:,.0f} calls",
                     largest_first=False),
    "memory": _Main("peak_rss_vs_eager", lambda value, record: f"peak {mib(record['peak_rss_bytes'])}, {value:.2f} of "
                    "eager's", largest_first=False),
    "threads": _Main("samples_per_s", lambda value, record: f"{value:,.0f} samples/s"),
    "quality": _Main("neighbours_changed", lambda value, record: f"{value:.1%} of neighbours changed",
                     largest_first=False),
    "tasks": _Main("predictions_equal", lambda value, record: f"{value:.1%} of predictions equal"),
    "generation": _Main("tokens_per_s", lambda value, record: f"{value:,.1f} tokens/s"),
}


def _number(main: _Main, value: float | None, record: Mapping[str, Any]) -> str:
    if value is not None:
        return main.text(value, record)
    return str(record.get("break_even_missing") or "undefined")


def _place(record: Mapping[str, Any]) -> str:
    if record["experiment"] != BEFORE["experiment"]:
        return f"{record['experiment']} {record['workload']}"
    sizes = record.get("batch_size"), record.get("sequence_length")
    return "×".join(map(str, sizes)) if None not in sizes else record["workload"]


def milliseconds(seconds: float) -> str:
    """Three digits: `0.52 ms`, `21.0 ms`, `1,140 ms`."""
    value = 1e3 * seconds
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f} ms"


def times(value: float) -> str:
    return f"{value:.2f}×" if value < 10 else f"{value:.1f}×"


def bounds(low: float | None, high: float | None) -> str:
    """` [5.05, 9.54]` or ` [9.85, 24.0]`; nothing without bounds."""
    return "" if low is None or high is None else f" [{_bound(low)}, {_bound(high)}]"


def _bound(value: float) -> str:
    return "<0.01" if value < 0.01 else ">99" if value > 99 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def percent(error: float | None) -> str:
    """A relative error: `0.0004%`, `2.3%`, `22%`."""
    if error is None:
        return "–"
    value = 100 * error
    if value >= 10:
        return f"{value:.0f}%"
    if value < 1e-4:
        return "<0.0001%"
    return f"{value:.{-math.floor(math.log10(value))}f}%" if value < 1 else f"{value:.1f}%"


def mib(count: float | None) -> str:
    if not count:
        return "–"
    return f"{count / _MIB:,.0f} MiB" if count >= _MIB else f"{count / 2**10:,.0f} KiB"
