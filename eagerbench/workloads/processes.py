"""Workloads that run in processes of their own, which start-up, memory and threads have in common."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from eagerbench.backends.base import Backend, ExportingBackend
from eagerbench.machine import quota
from eagerbench.models.specs import ModelSpec
from eagerbench.results.record import Batch, Count
from eagerbench.workloads import workload
from eagerbench.workloads.base import OnBatch, OneBatch

if TYPE_CHECKING:
    import numpy as np

    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

_TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class InProcesses(OnBatch):
    """One batch in a process that loads the variant.

    Attributes:
        processes: how many, one after another.
        grid: that it belongs to: only the full one pays for all variants.
    """

    batch: OneBatch
    processes: int
    grid: str

    @property
    def facts(self):
        return {**super().facts, "processes": self.processes}

    def inputs(self, model: "LoadedModel") -> "dict[str, np.ndarray]":
        return self.batch.inputs(model)

    def refuses(self, spec, variant, backend):
        return compiled_again(backend, self.grid) or super().refuses(spec, variant, backend)


def compiled_again(backend: Backend, grid: str) -> str | None:
    """Why a backend is not worth processes of its own below the full grid."""
    if grid != "full" and backend.costly and not isinstance(backend, ExportingBackend):
        return "compiled again in every process; add --grid full"
    return None


def cannot_pin(backend: Backend, device: str, cores: int) -> str | None:
    """Why there are no instances of a backend on cores of their own.

    Args:
        device: of the selection.
        cores: physical ones that this process may use.
    """
    if device != "cpu":
        return "instances are pinned to cores: for the CPU only"
    if not hasattr(os, "sched_setaffinity"):
        return "this system cannot pin a process to cores"
    if cores < 2:
        return "this process may use one core: there is one layout"
    if backend.own_process:
        return "its calls go over a pipe, whose time the rate of instances would hold"
    return None


def cores_of(instances: int, threads: int) -> list[list[int]]:
    """The physical cores of each instance."""
    cores = physical_cores()
    return [cores[number * threads:(number + 1) * threads] for number in range(instances)]


def instance_cores() -> int:
    """Physical cores that this process may use, no more of them than its CPU quota fills."""
    return min(len(physical_cores()), quota.usable_cores())


class BatchInProcesses(Batch, kw_only=True):
    """`InProcesses`, as the record has it."""

    processes: Count


def batches(spec: ModelSpec, selection: "Selection", shapes: Sequence[tuple[int, int]]) -> list[OneBatch]:
    """Batches of these shapes (batch size, sequence length), or of the sizes and lengths that the user gave."""
    if selection.batch_sizes or selection.sequence_lengths:
        shapes = list(product(selection.batch_sizes or dict.fromkeys(size for size, _ in shapes),
                              selection.sequence_lengths or dict.fromkeys(length for _, length in shapes)))
    return [workload(spec, size, length, selection.seed) for size, length in shapes]


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
