"""Workloads that run in processes of their own: start-up, memory, and instances pinned to cores."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from eagerbench.backends.base import ExportingBackend
from eagerbench.machine import quota
from eagerbench.models.specs import ModelSpec
from eagerbench.shown import count
from eagerbench.workloads import workload
from eagerbench.workloads.base import OneBatch, Workload

if TYPE_CHECKING:
    import numpy as np

    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

# (batch size, sequence length) of a grid.
STARTUP = {"smoke": ((1, 16),), "default": ((1, 128),), "full": ((1, 128), (8, 128))}
MEMORY = {"smoke": ((1, 16),), "default": ((8, 128),), "full": ((1, 128), (8, 128), (32, 128))}
THREADS = {"smoke": ((1, 16),), "default": ((4, 32),), "full": ((4, 32), (1, 128))}
PROCESSES = {"smoke": 1, "default": 1, "full": 3}  # fresh ones of a start-up case
_TOPOLOGY = Path("/sys/devices/system/cpu")
WINDOWS_S = {"smoke": 0.3, "default": 1.0, "full": 3.0}  # that instances run side by side


@dataclass(frozen=True)
class InProcesses(Workload):
    """One batch in a process that loads the variant.

    Attributes:
        processes: how many, one after another.
        grid: that it belongs to: only the full one pays for all variants.
    """

    batch: OneBatch
    processes: int
    grid: str

    @property
    def parts(self) -> tuple[str, ...]:
        return self.batch.parts

    @property
    def title(self) -> str:
        return self.batch.title

    @property
    def facts(self):
        return {**self.batch.facts, "processes": self.processes}

    def inputs(self, model: "LoadedModel") -> "dict[str, np.ndarray]":
        return self.batch.inputs(model)

    def refuses(self, spec, variant, backend):
        if self.grid != "full" and backend.costly and not isinstance(backend, ExportingBackend):
            return "compiled again in every process; add --grid full"
        return self.batch.refuses(spec, variant, backend)


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
        if self.device != "cpu":
            return "instances are pinned to cores: for the CPU only"
        if not hasattr(os, "sched_setaffinity"):
            return "this system cannot pin a process to cores"
        if self.cores < 2:
            return "this process may use one core: there is one layout"
        return super().refuses(spec, variant, backend)


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


def physical_cores(cpus: Iterable[int] | None = None, topology: Path = _TOPOLOGY) -> list[int]:
    """One logical CPU of each physical core among `cpus` (default: those that this process may use), ascending.

    Two instances on the two hardware threads of a core would not be on disjoint cores. Where the system does not tell
    the siblings (`thread_siblings_list` in sysfs), every CPU is a core.
    """
    cpus = quota.usable_cpus() if cpus is None else cpus
    first: dict[str, int] = {}
    for cpu in sorted(cpus):
        siblings = topology / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        first.setdefault(siblings.read_text() if siblings.exists() else str(cpu), cpu)
    return sorted(first.values())


def startup_batches(spec: ModelSpec, selection: "Selection") -> list[InProcesses]:
    return [InProcesses(batch, PROCESSES[selection.grid], selection.grid)
            for batch in _batches(spec, selection, STARTUP[selection.grid])]


def memory_batches(spec: ModelSpec, selection: "Selection") -> list[InProcesses]:
    return [InProcesses(batch, 1, selection.grid) for batch in _batches(spec, selection, MEMORY[selection.grid])]


def thread_layouts(spec: ModelSpec, selection: "Selection") -> list[Layout]:
    """Every layout of the grid on the physical cores that this process may use, whatever `--threads` says.

    No more of them than its CPU quota fills.
    """
    cores = min(len(physical_cores()), quota.usable_cores())
    return [Layout(batch, instances, selection.grid, instances, threads, cores, WINDOWS_S[selection.grid],
                   selection.device)
            for batch in _batches(spec, selection, THREADS[selection.grid])
            for instances, threads in layouts(cores, selection.grid == "full")]


def _batches(spec: ModelSpec, selection: "Selection", shapes: Sequence[tuple[int, int]]) -> list[OneBatch]:
    if selection.batch_sizes or selection.sequence_lengths:
        shapes = list(product(selection.batch_sizes or dict.fromkeys(size for size, _ in shapes),
                              selection.sequence_lengths or dict.fromkeys(length for _, length in shapes)))
    return [workload(spec, size, length, selection.seed) for size, length in shapes]
