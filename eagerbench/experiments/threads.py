"""Threads and instances: total throughput of processes pinned to disjoint cores, against this one on all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.measuring import recording
from eagerbench.measuring.disturbance import Conditions
from eagerbench.measuring.one_batch import OneBatchRun
from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid
from eagerbench.results.numbers import three
from eagerbench.results.record import Batch, Count, Part, Positive, Record, Turns, WarmedUp
from eagerbench.shown import count
from eagerbench.statistics import ratio_of_pairs
from eagerbench.workloads.processes import InProcesses, batches, cannot_pin, cores_of, instance_cores

if TYPE_CHECKING:
    from eagerbench.measuring.instances import Instance
    from eagerbench.measuring.timing import Timing
    from eagerbench.selection import Selection

# (batch size, sequence length), and seconds that instances run side by side.
GRIDS = {"smoke": (((1, 16),), 0.3), "default": (((4, 32),), 1.0), "full": (((4, 32), (1, 128)), 3.0)}


@dataclass(frozen=True)
class Layout(InProcesses):
    """`instances` processes side by side, each on `threads` cores of its own.

    Attributes:
        cores: physical ones that this process may use.
        window_s: seconds that all of them run.
        device: of the selection.
    """

    instances: int = 1
    threads: int = 1
    cores: int = 1
    window_s: float = 1.0
    device: str = "cpu"

    @property
    def parts(self) -> tuple[str, ...]:
        return *self.batch.parts, f"i{self.instances}", f"t{self.threads}"

    @property
    def title(self) -> str:
        return f"{self.batch.title}, {self.instances} × {count(self.threads, 'thread')}"

    @property
    def facts(self):
        return {**self.batch.facts, "instances": self.instances, "instance_threads": self.threads,
                "window_s": self.window_s}

    def refuses(self, spec, variant, backend):
        return cannot_pin(backend, self.device, self.cores) or super().refuses(spec, variant, backend)


def layouts(cores: int, every: bool) -> list[tuple[int, int]]:
    """(instances, threads of each) on disjoint cores, the one with an instance a core first.

    Args:
        every: also each smaller number of instances with as many threads as there is room for, and one instance alone
            on fewer cores, in powers of two.
    """
    if not every:
        return [(cores, 1)]
    widest = {cores // threads: threads for threads in range(1, cores + 1)}  # instances: most threads of each
    alone = [(1, 2**power) for power in range(cores.bit_length())]
    return list(dict.fromkeys([*sorted(widest.items(), reverse=True), *alone]))


def workloads(spec: ModelSpec, selection: "Selection") -> list[Layout]:
    """Every layout of the grid on the physical cores that this process may use, whatever `--threads` says.

    No more of them than its CPU quota fills.
    """
    shapes, window_s = GRIDS[selection.grid]
    cores = instance_cores()
    return [Layout(batch, instances, selection.grid, instances, threads, cores, window_s, selection.device)
            for batch in batches(spec, selection, shapes)
            for instances, threads in layouts(cores, selection.grid == "full")]


class BatchOfInstances(Batch, kw_only=True):
    instances: Count
    instance_threads: Count
    window_s: Positive


class Result(Part, kw_only=True):
    """Samples per second of all instances together, and of the session's own process seconds before.

    `samples_per_s_low` and `_high` are the 95 % interval over parts of the window: of these processes, others differ
    by more. None in older files, and where calls are too long for parts.
    `instance_calls`, `instance_s` and `instance_cores` (`0,1`) have an entry an instance.
    """

    samples_per_s: Positive
    samples_per_s_low: Positive | None = None
    samples_per_s_high: Positive | None = None
    session_samples_per_s: Positive
    layout_gain: Positive
    instance_calls: Turns
    instance_s: Annotated[list[Positive], Meta(min_length=1)]
    instance_cores: Annotated[list[str], Meta(min_length=1)]

    def __post_init__(self):
        if not len(self.instance_calls) == len(self.instance_s) == len(self.instance_cores):
            raise ValueError("instance_calls, instance_s and instance_cores have no entry for each instance")


class ThreadsRecord(Record[BatchOfInstances, WarmedUp, Result], kw_only=True):
    """`instances` of the workload have an entry each in the result."""

    def __post_init__(self):
        if len(self.result.instance_s) != self.workload.instances:
            raise ValueError(f"instance_s is not one number for each of {self.workload.instances} instances")


class ThreadsRun(OneBatchRun):
    """The batch is timed here, alone; then instances run it side by side, and the outputs of each are judged."""

    def complete(self, timing: "Timing") -> ThreadsRecord:
        work = self.work
        sets = cores_of(work.instances, work.threads)
        found = self.session.processes.instances(self.case.model, self.built, self.inputs, sets, work.window_s)
        self.session.measured_s += work.window_s
        for number, instance in enumerate(found):
            self.session.processes.demand(self.case, self.built, instance.outputs, f"instance {number}")
        side_by_side = Conditions([instance.turn for instance in found])
        if side_by_side.reason:
            self.conditions = side_by_side
        return self.assembled(ThreadsRecord, BatchOfInstances(**work.facts), recording.warmed_up(timing),
                              self._result(timing, found, sets))

    def _result(self, timing: "Timing", found: "list[Instance]", sets: list[list[int]]) -> Result:
        total = sum(instance.calls / instance.seconds for instance in found) * self.one.batch_size
        alone = self.one.batch_size / median(timing.rounds)
        low, high = _interval([instance.slices for instance in found], self.one.batch_size)
        return Result(samples_per_s=total, samples_per_s_low=low, samples_per_s_high=high,
                      session_samples_per_s=alone, layout_gain=total / alone,
                      instance_calls=[instance.calls for instance in found],
                      instance_s=[instance.seconds for instance in found],
                      instance_cores=[",".join(map(str, those)) for those in sets])


def _interval(slices: Sequence[Sequence[tuple[int, float]]], batch_size: int) -> tuple[float | None, float | None]:
    """Of the rate of all instances together, by the parts of their windows: (calls, seconds) each."""
    if len({len(parts) for parts in slices}) != 1:
        return None, None
    totals = [batch_size * sum(calls / seconds for calls, seconds in parts) for parts in zip(*slices, strict=True)]
    found = ratio_of_pairs([math.log(total) for total in totals])
    return found.low, found.high


def tables(model: str, records: Sequence[ThreadsRecord]) -> list[Grid]:
    """The best layout first within a variant; variants by their best one."""
    rows = []
    for place in dict.fromkeys(map(_place, records)):
        here = [record for record in records if _place(record) == place]
        best: dict[str, float] = {}
        for record in here:
            variant = record.identity.variant
            best[variant] = max(best.get(variant, 0.0), record.result.samples_per_s)
        rows += [_row(record, best[record.identity.variant]) for record in sorted(here, key=lambda record: (
            -best[record.identity.variant], record.identity.variant, -record.result.samples_per_s))]
    header = ["batch", "variant", "samples/s", "instances × threads", "this process, all threads", "gain",
              "each instance"]
    return [Grid(f"{model}: threads and instances", header, rows, _note(records))]


def _place(record: ThreadsRecord) -> str:
    return f"b{record.workload.batch_size}-s{record.workload.sequence_length}"


def _row(record: ThreadsRecord, best: float) -> list[str]:
    found, work = record.result, record.workload
    mark = "*" if found.samples_per_s == best else ""
    return [_place(record), record.identity.variant, f"{found.samples_per_s:.1f}{mark}{_bounds(found)}",
            f"{work.instances} × {work.instance_threads}", f"{found.session_samples_per_s:.1f}",
            f"{found.layout_gain:.2f}",
            ", ".join(f"{calls / seconds * work.batch_size:.1f}" for calls, seconds
                      in zip(found.instance_calls, found.instance_s, strict=True))]


def _bounds(found: Result) -> str:
    if found.samples_per_s_low is None or found.samples_per_s_high is None:
        return ""
    return f" [{found.samples_per_s_low:.1f}, {found.samples_per_s_high:.1f}]"


def _note(records: Sequence[ThreadsRecord]) -> str:
    best = max(records, key=lambda record: record.result.samples_per_s)
    return ("Samples/s of all instances together, each a process pinned to its own cores, all running at the same "
            "time, with the 95 % interval over parts of that time; * best layout of the variant. Gain: samples/s "
            "divided by those of one process with all threads, measured seconds before. "
            f"Best of all: {best.identity.variant}, {best.workload.instances} instances of "
            f"{best.workload.instance_threads} threads at {best.identity.workload.rsplit('-i', 1)[0]}, "
            f"{best.result.samples_per_s:.1f} samples/s.")


def headline(record: ThreadsRecord) -> str:
    """`95 samples/s as 2 × 1`: instances × threads of each."""
    work = record.workload
    return f"{three(record.result.samples_per_s)} samples/s as {work.instances} × {work.instance_threads}"


def rank(record: ThreadsRecord) -> float:
    return record.result.samples_per_s


def number(record: ThreadsRecord) -> Number:
    found = record.result
    return found.samples_per_s, found.samples_per_s_low, found.samples_per_s_high


EXPERIMENT = Experiment("threads", 6, "How should cores be divided between processes and their threads?", workloads,
                        ThreadsRun, ThreadsRecord, tables, headline, rank,
                        Dots(number, "samples/s of all processes", "Right is faster. Each colour divides the same "
                             "cores in another way: many processes of few threads, or few of many.",
                             kind=lambda record: f"{record.workload.instances} × "
                             f"{count(record.workload.instance_threads, 'thread')}"), most_s=7200.0)
