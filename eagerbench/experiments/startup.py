"""Start-up and size: what a process pays before its first answer, and after how many calls a variant has paid back."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from eagerbench import backends
from eagerbench.experiments.base import Bars, Experiment
from eagerbench.measuring import recording
from eagerbench.measuring.one_batch import OneBatchRun
from eagerbench.measuring.timing import Timing
from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid
from eagerbench.results.record import AgainstEager, CallSeconds, Count, Natural, Part, Positive, Record, Seconds
from eagerbench.workloads.processes import BatchInProcesses, InProcesses, batches

if TYPE_CHECKING:
    from eagerbench.backends.building import Built
    from eagerbench.measuring.fresh_process import FreshRun
    from eagerbench.selection import Selection

# (batch size, sequence length), and how many fresh processes.
GRIDS = {"smoke": (((1, 16),), 1), "default": (((1, 128),), 1), "full": (((1, 128), (8, 128)), 3)}


class Result(Part, kw_only=True):
    """Medians over fresh processes, in seconds; `startup_loads_s` has each process's.

    Attributes:
        break_even_calls: calls after which the variant has cost less time than eager, `low` and `high` at the ends of
            the speed-up's interval; None when it never does, with the reason in `break_even_missing`.
        startup_build_s: of an artifact once; of any other variant in every process.
        startup_save_s: what of the build went into writing the file.
        startup_ready_s: imports, load, build and first call together.
        call_s, eager_call_s: seconds of a call in this process.
        state_dict_load_s: of eager's weights from a pickled state_dict; with three more fields beside it.
    """

    break_even_calls: Natural | None
    break_even_low: Natural | None
    break_even_high: Natural | None
    break_even_missing: str | None
    startup_build_s: Seconds
    startup_loads_s: Annotated[list[Seconds], Meta(min_length=1)]
    startup_load_s: Seconds
    startup_imports_s: Seconds
    startup_first_call_s: Seconds
    startup_ready_s: Seconds
    eager_load_s: Seconds
    eager_call_s: Positive
    call_s: CallSeconds
    disk_bytes: Count | None
    startup_save_s: Seconds | None = None
    safetensors_save_s: Seconds | None = None
    state_dict_save_s: Seconds | None = None
    state_dict_bytes: Count | None = None
    state_dict_load_s: Seconds | None = None
    state_dict_ready_s: Seconds | None = None

    def __post_init__(self):
        if self.break_even_calls is None and not self.break_even_missing:
            raise ValueError("break_even_missing is missing, the reason for no break_even_calls")
        beside = ("state_dict_save_s", "state_dict_ready_s", "state_dict_bytes")
        lacking = [name for name in beside if getattr(self, name) is None]
        if self.state_dict_load_s is not None and lacking:
            raise ValueError(f"state_dict_load_s without {', '.join(lacking)}")


StartupRecord = Record[BatchInProcesses, AgainstEager, Result]


def workloads(spec: ModelSpec, selection: "Selection") -> list[InProcesses]:
    shapes, processes = GRIDS[selection.grid]
    return [InProcesses(batch, processes, selection.grid) for batch in batches(spec, selection, shapes)]


class StartupRun(OneBatchRun):
    """Calls are timed here, in turns with eager; then fresh processes load the variant and eager."""

    def complete(self, timing: Timing) -> StartupRecord:
        eager = self.session.builds.eager(self.case.model)
        eager_runs = self.once(("start-up", self.work), lambda: self._fresh(eager))
        runs = eager_runs if self._is_eager else self._fresh(self.built)
        self.session.measured_s += sum(run.first_call_s for run in runs)
        self._demand(eager, eager_runs)
        self._demand(self.built, runs)
        found = recording.against_eager(timing)
        return self.assembled(StartupRecord, BatchInProcesses(**self.work.facts), found,
                              self._result(found, runs, eager_runs))

    @property
    def _is_eager(self) -> bool:
        return self.case.variant.name == backends.REFERENCE

    def _fresh(self, built: "Built", **how: Any) -> "list[FreshRun]":
        """As many processes as the workload says, one after another."""
        inputs = [self.one.inputs(self.model)]
        return [self.session.processes.run(self.case.model, built, inputs, **how) for _ in range(self.work.processes)]

    def _demand(self, built: "Built", runs: "Sequence[FreshRun]") -> None:
        """First outputs are right: the call that was timed."""
        for run in runs:
            self.session.processes.demand(self.case, built, run.first_outputs, "a process of its own")

    def _result(self, timing: AgainstEager, runs: "list[FreshRun]", eager_runs: "list[FreshRun]") -> Result:
        built, eager_load_s, load_s = self.built, _median(eager_runs, "load_s"), _median(runs, "load_s")
        build_s = built.build_s if built.directory else _median(runs, "build_s")
        eager_call_s = median(timing.reference_rounds)
        even = break_even(build_s + load_s - eager_load_s, eager_call_s, timing.speedup_vs_eager, timing.speedup_low,
                          timing.speedup_high)
        if self._is_eager:
            even = BreakEven(None, None, None, "what the others are compared with")
        return Result(
            break_even_calls=even.calls, break_even_low=even.low, break_even_high=even.high,
            break_even_missing=even.missing, startup_build_s=build_s, startup_save_s=built.save_s,
            startup_loads_s=[run.load_s for run in runs], startup_load_s=load_s,
            startup_imports_s=_median(runs, "imports_s"), startup_first_call_s=_median(runs, "first_call_s"),
            startup_ready_s=_median(runs, "ready_s"), eager_load_s=eager_load_s, eager_call_s=eager_call_s,
            call_s=eager_call_s / timing.speedup_vs_eager,
            disk_bytes=built.artifact_bytes or self.session.processes.saved(self.case.model).bytes,
            **(self._plain_weights() if self._is_eager else {}))

    def _plain_weights(self) -> dict[str, Any]:
        """Eager from a pickled state_dict beside its safetensors; nothing for a module that transformers does not
        know."""
        from eagerbench.models.saved import save_state_dict

        saved = self.session.processes.saved(self.case.model)
        if saved.bytes is None:
            return {}
        with tempfile.TemporaryDirectory() as scratch:
            file, save_s = save_state_dict(self.model, Path(scratch))
            runs = self._fresh(self.built, state_dict=file)
            self._demand(self.built, runs)
            return {"safetensors_save_s": saved.save_s, "state_dict_save_s": save_s,
                    "state_dict_bytes": file.stat().st_size, "state_dict_load_s": _median(runs, "load_s"),
                    "state_dict_ready_s": _median(runs, "ready_s")}


def _median(runs: "Sequence[FreshRun]", name: str) -> float:
    return median(getattr(run, name) for run in runs)


@dataclass(frozen=True)
class BreakEven:
    """Calls after which a variant has cost less time than eager.

    Attributes:
        calls: None when it never does, with the reason in `missing`.
        low, high: the same at the ends of the speed-up's interval; `high` is None when it may never be.
    """

    calls: int | None
    low: int | None
    high: int | None
    missing: str | None


def break_even(extra_s: float, eager_call_s: float, speedup: float, speedup_low: float | None,
               speedup_high: float | None) -> BreakEven:
    """(build + load − eager's load) / (eager per call − variant per call), rounded up.

    Args:
        extra_s: the numerator in seconds; 0 or less pays back from the first call on.
        eager_call_s: seconds of an eager call.
        speedup: times faster than eager, with its interval.
    """
    calls = _calls(extra_s, eager_call_s, speedup)
    missing = f"not faster than eager: {speedup:.2f} times" if calls is None else None
    return BreakEven(calls, _calls(extra_s, eager_call_s, speedup_high), _calls(extra_s, eager_call_s, speedup_low),
                     missing)


def _calls(extra_s: float, eager_call_s: float, speedup: float | None) -> int | None:
    if speedup is None or speedup <= 1:
        return None
    return max(0, math.ceil(extra_s / (eager_call_s * (1 - 1 / speedup))))


def tables(model: str, records: Sequence[StartupRecord]) -> list[Grid]:
    places = list(dict.fromkeys(record.identity.workload for record in records))
    rows = []
    for record in sorted(records, key=lambda record: (places.index(record.identity.workload), _order(record))):
        who, found = record.identity, record.result
        rows.append([who.workload, who.variant, _break_even(found), _s(found.startup_build_s), _s(found.startup_save_s),
                     _s(found.startup_load_s), _s(found.startup_imports_s), _s(found.startup_first_call_s),
                     _s(found.startup_ready_s), _bytes(found.disk_bytes), f"{1e3 * found.call_s:.1f}",
                     f"{record.timing.speedup_vs_eager:.2f}"])
        if found.state_dict_load_s is not None:
            rows.append([who.workload, f"{who.variant}, pickled state_dict", "", "–", _s(found.state_dict_save_s),
                         _s(found.state_dict_load_s), "", "", _s(found.state_dict_ready_s),
                         _bytes(found.state_dict_bytes), "", ""])
    header = ["workload", "variant", "break-even calls", "build, s", "saving, s", "load, s", "imports, s",
              "first call, s", "ready, s", "on disk", "call, ms", "times eager"]
    return [Grid(f"{model}: start-up and size", header, rows, _note(records))]


def _note(records: Sequence[StartupRecord]) -> str:
    saved = [record.result for record in records if record.result.state_dict_load_s is not None]
    return ("Break-even: (build + load − eager's load) / (eager's call − its own), with the ends of the speed-up's "
            "interval. Build: paid once for an artifact, in every process without one. Saving: the part of it that "
            "writing the file took; – if the exporter does both in one. Load and first call: in a fresh process, files "
            "in the page cache, without imports. Ready: imports, load, build and first call together."
            + "".join(f" Eager's weights are saved in {_s(found.safetensors_save_s)} s as safetensors, in "
                      f"{_s(found.state_dict_save_s)} s as a state_dict." for found in saved[:1]))


def _order(record: StartupRecord) -> tuple[bool, float, float]:
    calls = record.result.break_even_calls
    return calls is None, calls or 0, -record.timing.speedup_vs_eager


def _break_even(found: Result) -> str:
    if found.break_even_calls is None:
        return f"– ({found.break_even_missing})"
    low, high = found.break_even_low, found.break_even_high
    interval = "" if low is None else f" [{low}, {'never' if high is None else high}]"
    return f"{found.break_even_calls}{interval}"


def _s(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.2f}"


def _bytes(count: int | None) -> str:
    return f"{count / 2**20:.1f} MiB" if count else "–"


def headline(record: StartupRecord) -> str:
    """`pays back after 120 calls`; eager's, and that of a variant that never does, is the time until it is ready."""
    calls = record.result.break_even_calls
    return f"ready in {record.result.startup_ready_s:.1f} s" if calls is None else f"pays back after {calls} calls"


def rank(record: StartupRecord) -> float:
    return -record.result.startup_ready_s


def parts_of_start(record: StartupRecord) -> dict[str, float]:
    """Seconds. A build that an artifact keeps is no part of a later start."""
    found = record.result
    parts = {"imports": found.startup_imports_s, "load": found.startup_load_s,
             "first call": found.startup_first_call_s}
    return {**parts, "build and other": max(0.0, found.startup_ready_s - sum(parts.values()))}


EXPERIMENT = Experiment("startup", 4, "After how many calls has a variant paid back the cost of its start?", workloads,
                        StartupRun, StartupRecord, tables, headline, rank,
                        Bars(parts_of_start, "seconds until the first result", "What a fresh process waits for, in "
                             "order. An artifact is built once and then loaded, so its build counts only the first "
                             "time."), most_s=7200.0)
