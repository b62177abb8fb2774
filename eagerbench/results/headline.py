"""A record in one line, for the terminal's lines and the last screen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eagerbench.case import DEFAULT
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results.bad_record import BadRecord
from eagerbench.results.decode import decode
from eagerbench.results.numbers import bounds, milliseconds, times
from eagerbench.results.record import AgainstEager, Record
from eagerbench.results.records import is_ours

ENOUGH_PAIRS = 6  # of turns: what an exact 95 % interval needs


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
    """A benchmark of a file, or of this session; None without a record of ours.

    Raises:
        BadRecord.
    """
    if not is_ours(bench):
        return None
    return of_record(decode(bench["extra_info"]), bench["stats"]["median"])


def problem(bench: Mapping[str, Any]) -> str:
    """Why the record of a benchmark cannot be read; empty where it can, and of other suites' benchmarks."""
    try:
        of_bench(bench)
    except BadRecord as error:
        return str(error)
    return ""


def of_record(record: Record, median_s: float) -> Headline:
    """Of a record whose calls took so many seconds."""
    experiment, identity, costs = EXPERIMENTS[record.identity.experiment], record.identity, record.costs
    against_eager = isinstance(record.timing, AgainstEager)
    return Headline(
        model=identity.model, variant=identity.variant, experiment=identity.experiment, place=_place(record),
        device=identity.device, threads=identity.threads, tolerance=record.correctness.tolerance_class,
        call_s=median_s,
        speedup=record.timing.speedup_vs_eager if against_eager else None,
        low=record.timing.speedup_low if against_eager else None,
        high=record.timing.speedup_high if against_eager else None,
        pairs=record.timing.pairs if against_eager else None,
        number="" if experiment.name == DEFAULT else experiment.headline(record), rank=experiment.rank(record),
        error=math.sqrt(max(0.0, 2 * (1 - record.correctness.cosine))),
        artifact_bytes=costs.artifact_bytes, peak_bytes=costs.peak_rss_bytes,
        unusable="" if record.conditions.usable else record.conditions.unusable_reason)


def _place(record: Record) -> str:
    identity = record.identity
    if identity.experiment != DEFAULT:
        return f"{identity.experiment} {identity.workload}"
    return f"{record.workload.batch_size}×{record.workload.sequence_length}"
