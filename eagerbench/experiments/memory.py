"""Memory of a fresh process that loads a variant and runs a batch: its peak, and what stays, against eager's."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from eagerbench.errors import CannotRun, Crashed
from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.measuring import recording
from eagerbench.measuring.disturbance import Conditions
from eagerbench.measuring.one_batch import OneBatchRun
from eagerbench.models.specs import ModelSpec
from eagerbench.results import record as parts
from eagerbench.results.grid import Grid
from eagerbench.results.record import CallSeconds, Count, Natural, Part, Positive, Record
from eagerbench.workloads.processes import BatchInProcesses, InProcesses, batches

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing
    from eagerbench.selection import Selection

# (batch size, sequence length).
GRIDS = {"smoke": ((1, 16),), "default": ((8, 128),), "full": ((1, 128), (8, 128), (32, 128))}


class Result(Part, kw_only=True):
    """The variant's own peak is in `costs`. What has a default is not in older files.

    Attributes:
        steady_rss_bytes, eager_steady_rss_bytes: resident after two calls, when their outputs are gone.
        steady_gpu_bytes: what torch has allocated on the GPU then.
        weights_bytes: of the artifact, or of the weights as the variant holds them, quantisation state included.
        loaded_from: `quantised checkpoint` is one that the suite saved, as users of the variant load it; with `float32
            weights` the process makes the variant of them.
        call_s: seconds of a call in this process, in few calls.
    """

    peak_rss_vs_eager: Positive
    eager_peak_rss_bytes: Count
    call_s: CallSeconds
    steady_rss_bytes: Count | None = None
    eager_steady_rss_bytes: Count | None = None
    steady_rss_vs_eager: Positive | None = None
    steady_gpu_bytes: Natural | None = None
    weights_bytes: Natural | None = None
    weights_vs_float32: Annotated[float, Meta(ge=0)] | None = None
    loaded_from: Literal["artifact", "quantised checkpoint", "float32 weights"] | None = None


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
                        call_s=median(timing.rounds), steady_rss_bytes=own.steady,
                        eager_steady_rss_bytes=eagers.steady, steady_rss_vs_eager=own.steady / eagers.steady,
                        steady_gpu_bytes=own.gpu_steady, weights_bytes=own.weights, loaded_from=own.loaded_from,
                        weights_vs_float32=own.weights and own.weights / self.model.parameter_bytes)
        return self.assembled(MemoryRecord, BatchInProcesses(**self.work.facts), parts.Timing(), result,
                              costs=recording.costs(self.built, self.model, timing.first_call_s, own))


def tables(model: str, records: Sequence[MemoryRecord]) -> list[Grid]:
    """One a workload, the smallest peak first."""
    return [_table(model, workload, [record for record in records if record.identity.workload == workload])
            for workload in dict.fromkeys(record.identity.workload for record in records)]


def _table(model: str, workload: str, records: list[MemoryRecord]) -> Grid:
    gpu = any(record.costs.peak_gpu_bytes is not None for record in records)
    rows = [[record.identity.variant, f"{record.result.peak_rss_vs_eager:.2f}", _mib(record.costs.peak_rss_bytes),
             _mib(record.result.steady_rss_bytes), _mib(record.result.weights_bytes),
             *([_mib(record.costs.peak_gpu_bytes), _mib(record.result.steady_gpu_bytes)] if gpu else []),
             record.result.loaded_from or "–"]
            for record in sorted(records, key=lambda one: one.result.peak_rss_vs_eager)]
    header = ["variant", "of eager's peak", "peak, MiB", "steady, MiB", "weights, MiB",
              *(["GPU peak", "GPU steady"] if gpu else []), "loaded from"]
    whole = records[0].costs.parameter_bytes
    return Grid(f"{model}: memory, {workload}", header, rows,
                "Resident size of a fresh process, runtime and libraries included: the peak while it loads the variant "
                f"and calls it twice, and what remains after that. The float32 weights take {_mib(whole)} MiB; they "
                "count in the peak of a variant that is loaded from them.")


def _mib(count: int | None) -> str:
    return "–" if count is None else f"{count / 2**20:.0f}"


def headline(record: MemoryRecord) -> str:
    return f"{record.result.peak_rss_vs_eager:.2f}× eager's peak"


def rank(record: MemoryRecord) -> float:
    return -record.result.peak_rss_vs_eager


def number(record: MemoryRecord) -> Number:
    return record.costs.peak_rss_bytes / 2**20, None, None


def others(record: MemoryRecord) -> dict[str, float]:
    """What stands beside the peak, as far as the file has it."""
    found = {"steady": record.result.steady_rss_bytes, "weights": record.result.weights_bytes}
    return {name: count / 2**20 for name, count in found.items() if count}


EXPERIMENT = Experiment("memory", 5, "How much memory does a process take at most?", workloads, MemoryRun, MemoryRecord,
                        tables, headline, rank,
                        Dots(number, "MiB", "Left is less. `peak`: the most that a fresh process used while it loaded "
                             "the variant and called it twice, runtime and libraries included. `steady`: what remains "
                             "after that. `weights`: those of the variant alone, as it holds them. The peak of a "
                             "variant that is loaded from float32 weights includes these; the table says which are.",
                             most=False, name="peak", more=others),
                        most_s=7200.0)
