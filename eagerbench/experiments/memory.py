"""Memory: the peak of a fresh process that loads a variant and runs a batch, against eager's."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from eagerbench.errors import CannotRun, Crashed
from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.measuring import recording
from eagerbench.measuring.disturbance import Conditions
from eagerbench.measuring.one_batch import OneBatchRun
from eagerbench.models.specs import ModelSpec
from eagerbench.results import record as parts
from eagerbench.results.grid import Grid
from eagerbench.results.record import CallSeconds, Count, Part, Positive, Record
from eagerbench.workloads.processes import BatchInProcesses, InProcesses, batches

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing
    from eagerbench.selection import Selection

# (batch size, sequence length).
GRIDS = {"smoke": ((1, 16),), "default": ((8, 128),), "full": ((1, 128), (8, 128), (32, 128))}


class Result(Part, kw_only=True):
    """The variant's own peak is in `costs`. `call_s`: seconds of a call in this process, in few calls."""

    peak_rss_vs_eager: Positive
    eager_peak_rss_bytes: Count
    call_s: CallSeconds


class MemoryRecord(Record[BatchInProcesses, parts.Timing, Result], kw_only=True):
    def __post_init__(self):
        if self.costs.peak_rss_bytes is None:
            raise ValueError("peak_rss_bytes is missing")


def workloads(spec: ModelSpec, selection: "Selection") -> list[InProcesses]:
    return [InProcesses(batch, 1, selection.grid) for batch in batches(spec, selection, GRIDS[selection.grid])]


class MemoryRun(OneBatchRun):
    """A few calls here, for a time beside the peak; the peak is taken in another process."""

    def complete(self, timing: "Timing") -> MemoryRecord:
        self.conditions = Conditions([])  # the time is not the result
        eager = self.session.builds.eager(self.case.model)
        own, eagers = (self.session.peaks.of(self.case, built) for built in (self.built, eager))
        for found in (own, eagers):
            if found.rss is None:
                raise (Crashed if found.crashed else CannotRun)(found.missing)
        result = Result(peak_rss_vs_eager=own.rss / eagers.rss, eager_peak_rss_bytes=eagers.rss,
                        call_s=median(timing.rounds))
        return self.assembled(MemoryRecord, BatchInProcesses(**self.work.facts), parts.Timing(), result,
                              costs=recording.costs(self.built, self.model, timing.first_call_s, own))


def tables(model: str, records: Sequence[MemoryRecord]) -> list[Grid]:
    places = list(dict.fromkeys(record.identity.workload for record in records))
    gpu = any(record.costs.peak_gpu_bytes is not None for record in records)
    rows = [[record.identity.workload, record.identity.variant, f"{record.result.peak_rss_vs_eager:.2f}",
             f"{record.costs.peak_rss_bytes / 2**20:.0f}", f"{record.costs.parameter_bytes / 2**20:.0f}",
             *([_mib(record.costs.peak_gpu_bytes)] if gpu else []), f"{1e3 * record.result.call_s:.1f}"]
            for record in sorted(records, key=lambda one: (places.index(one.identity.workload),
                                                           one.result.peak_rss_vs_eager))]
    header = ["workload", "variant", "of eager's peak", "peak, MiB", "float32 weights, MiB",
              *(["GPU peak, MiB"] if gpu else []), "call, ms"]
    return [Grid(f"{model}: memory", header, rows,
                 "Peak resident size of a fresh process that loads the variant and calls it twice, runtime and "
                 "libraries included; a variant without an artifact is made there of the float32 model, which is in "
                 "its peak.")]


def _mib(count: int | None) -> str:
    return "–" if count is None else f"{count / 2**20:.0f}"


def headline(record: MemoryRecord) -> str:
    return f"{record.result.peak_rss_vs_eager:.2f}× eager's peak"


def rank(record: MemoryRecord) -> float:
    return -record.result.peak_rss_vs_eager


def number(record: MemoryRecord) -> Number:
    return record.costs.peak_rss_bytes / 2**20, None, None


EXPERIMENT = Experiment("memory", 5, "How much memory does a process take at most?", workloads, MemoryRun, MemoryRecord,
                        tables, headline, rank,
                        Dots(number, "peak resident MiB", "Left is less. The peak of a fresh process that loads the "
                             "variant and calls it twice, with its runtime and libraries; a quantised variant without "
                             "an artifact is made of the float32 model, which is in its peak.", most=False),
                        most_s=7200.0)
