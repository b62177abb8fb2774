"""Latency: how long one call takes, in turns with eager."""

from collections.abc import Sequence
from contextlib import nullcontext
from statistics import median
from typing import TYPE_CHECKING

from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.machine import facts
from eagerbench.measuring import recording
from eagerbench.measuring.gpu_observer import observer
from eagerbench.measuring.one_batch import OneBatchRun
from eagerbench.measuring.timing import Timing
from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid, interval
from eagerbench.results.numbers import bounds, times
from eagerbench.results.record import AgainstEager, Batch, Count, Natural, Part, Positive, Record
from eagerbench.statistics import WIDEST, says_nothing
from eagerbench.workloads import workload
from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.measuring.turns import Call
    from eagerbench.selection import Selection


class Result(Part, kw_only=True):
    """Throughput of the median round. `peak_flops_per_s` is None where the processor's is not known."""

    padded_tokens: Count
    real_tokens: Count
    tokens_per_s: Positive
    samples_per_s: Positive
    flops: Natural
    peak_flops_per_s: Positive | None
    fraction_of_peak: float | None


LatencyRecord = Record[Batch, AgainstEager, Result]


def workloads(spec: ModelSpec, selection: "Selection") -> list[OneBatch]:
    """Padded batches (images of the model's own size), from small to large."""
    shapes = sorted(selection.shapes, key=lambda shape: shape[0] * shape[1])
    return [workload(spec, *shape, selection.seed) for shape in shapes]


class LatencyRun(OneBatchRun):
    """Peak memory comes from a fresh process, once the outputs are right."""

    def prepare(self) -> None:
        super().prepare()
        self._seen = observer(self.case.device, self.built.runner, self.reference.runner)

    def in_turns(self, call: "Call", reference: "Call") -> Timing:
        with self._seen.watching() if self._seen else nullcontext():
            return super().in_turns(call, reference, observer=self._seen)

    def complete(self, timing: Timing) -> LatencyRecord:
        peak, drift = self.session.peaks.of(self.case, self.built), self.session.drift.of(self.case)
        return self.assembled(
            LatencyRecord, self.batch, recording.against_eager(timing), self._result(timing),
            correctness=recording.correctness(self.case, self.comparison, drift),
            costs=recording.costs(self.built, self.model, timing.first_call_s, peak),
            gpu=self._seen.record() if self._seen else None)

    def _result(self, timing: Timing) -> Result:
        call_s, flops = median(timing.rounds), self.expected.flops
        peak = facts.peak_flops(self.case.variant.dtype, self.case.device, self.session.selection.threads)
        return Result(padded_tokens=self.padded_tokens, real_tokens=self.real_tokens,
                      tokens_per_s=self.real_tokens / call_s, samples_per_s=self.work.batch_size / call_s, flops=flops,
                      peak_flops_per_s=peak, fraction_of_peak=flops / call_s / peak if peak else None)


def tables(model: str, records: Sequence[LatencyRecord]) -> list[Grid]:
    return [_speedups(model, records), _costs(model, records)]


def _speedups(model: str, records: Sequence[LatencyRecord]) -> Grid:
    workloads = list(dict.fromkeys(record.identity.workload for record in records))
    variants = list(dict.fromkeys(record.identity.variant for record in records))
    by_place = {record.key: record for record in records}
    known = [record for record in records if not _says_nothing(record)]
    fastest = {_rivals(record): record.identity.variant
               for record in sorted(known, key=rank)}
    rows = []
    for variant in variants:
        found = [by_place.get((variant, workload)) for workload in workloads]
        rows.append([variant, next(record.correctness.tolerance_class for record in found if record),
                     *[_ratio(record, fastest) if record else "–" for record in found]])
    note = ("Times faster than eager, with the 95 % interval of this process; * fastest of its tolerance class by the "
            "low end, a tie where intervals overlap" + _unknown(records, known) + _fastest(known))
    return Grid(f"{model}: speed-up over eager", ["variant", "tolerance class", *workloads], rows,
                note + _method_check(records))


def _rivals(record: LatencyRecord) -> tuple[str, str]:
    return record.correctness.tolerance_class, record.identity.workload


def _says_nothing(record: LatencyRecord) -> bool:
    return says_nothing(record.timing.speedup_low, record.timing.speedup_high)


def _unknown(records: Sequence[LatencyRecord], known: list[LatencyRecord]) -> str:
    if len(known) == len(records):
        return "."
    return f"; ? nothing can be concluded: an interval wider than a factor of {WIDEST:g}, or none."


def _fastest(known: list[LatencyRecord]) -> str:
    if not known:
        return ""
    best = max(known, key=rank)
    return (f" Fastest of all: {best.identity.variant} at {best.identity.workload}, "
            f"{best.timing.speedup_vs_eager:.2f} times eager.")


def _ratio(record: LatencyRecord, fastest: dict[tuple[str, str], str]) -> str:
    timing = record.timing
    mark = "*" if fastest.get(_rivals(record)) == record.identity.variant else ""
    mark = "?" if _says_nothing(record) else mark
    return f"{timing.speedup_vs_eager:.2f}{mark}{interval(timing.speedup_low, timing.speedup_high)}"


def _method_check(records: Sequence[LatencyRecord]) -> str:
    """Eager against itself must come out as 1: the check of the method in every run."""
    eager = [record for record in records if record.identity.variant == "eager"
             and None not in (record.timing.speedup_low, record.timing.speedup_high)]
    wide = [record.identity.workload for record in eager if _says_nothing(record)]
    narrow = [record for record in eager if not _says_nothing(record)]
    off = [record.identity.workload for record in narrow
           if not record.timing.speedup_low <= 1 <= record.timing.speedup_high]
    said = ""
    if narrow and not off:
        said += f" Eager against itself is 1 within its interval in {len(narrow)} of {len(eager)} workloads."
    if off:
        said += (f" Eager against itself is not 1 within its interval at {', '.join(off)}: this happens once in 20 by "
                 "chance; more often means that the machine is too noisy for these numbers.")
    if wide:
        said += (f" The interval of eager against itself is too wide at {', '.join(wide)}: give a larger "
                 "--time-budget.")
    return said


def _costs(model: str, records: Sequence[LatencyRecord]) -> Grid:
    rows = []
    for variant in dict.fromkeys(record.identity.variant for record in records):
        found = [record for record in records if record.identity.variant == variant]
        last = found[-1]
        rows.append([
            variant,
            f"{max(record.correctness.max_abs_error for record in found):.1e}",
            f"{min(record.correctness.cosine for record in found):.5f}",
            _bytes(max((record.costs.peak_rss_bytes or 0 for record in found), default=0)),
            _bytes(last.costs.artifact_bytes),
            f"{last.costs.build_s:.1f} s",
            _share(max((record.result.fraction_of_peak or 0 for record in found), default=0)),
            last.engagement.engagement,
        ])
    header = ["variant", "largest error", "cosine", "peak memory", "artifact", "build", "of peak FLOP/s", "engagement"]
    return Grid(f"{model}: error, cost and evidence", header, rows,
                "Errors against eager, without padding, in the worst workload. Peak memory: of a fresh process.")


def _bytes(count: float) -> str:
    return f"{count / 2**20:.0f} MiB" if count else "–"


def _share(value: float) -> str:
    return f"{value:.0%}" if value else "–"


def headline(record: LatencyRecord) -> str:
    timing = record.timing
    return f"{times(timing.speedup_vs_eager)}{bounds(timing.speedup_low, timing.speedup_high)}"


def rank(record: LatencyRecord) -> float | None:
    """The low end of the interval, so that no variant wins by luck."""
    return record.timing.speedup_low


def number(record: LatencyRecord) -> Number:
    return record.timing.speedup_vs_eager, record.timing.speedup_low, record.timing.speedup_high


EXPERIMENT = Experiment(
    "latency", 0, "How long does one call take?", workloads, LatencyRun, LatencyRecord, tables, headline, rank,
    Dots(number, "times as fast as eager", "Each mark is a variant on one batch, its bar the 95 % interval. Right of "
         "the line is faster than eager. If a bar crosses the line, or two bars overlap, this run cannot tell which "
         "is faster.", log=True, line=1.0))
