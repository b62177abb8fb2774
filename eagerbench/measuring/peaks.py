"""Peak memory of a variant, of which latency and memory keep a record."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Placement
from eagerbench.backends.building import Built, key
from eagerbench.case import DEFAULT, Case
from eagerbench.errors import CannotRun, Crashed
from eagerbench.machine import room
from eagerbench.measuring.gpu_memory import GpuMemory
from eagerbench.measuring.models import Models
from eagerbench.measuring.processes import Processes, wrong_elsewhere
from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.base import OneBatch

_FACTS = ["rss", "gpu", "steady", "gpu_steady", "weights", "loaded_from", "wrong"]


@dataclass(frozen=True)
class Peak:
    """Bytes of a variant in a fresh process.

    Attributes:
        rss, gpu: most resident bytes, and most of the GPU (None without one).
        missing: why `rss` is None.
        crashed: whether the process died.
        steady, gpu_steady: after two calls, when their outputs are gone.
        weights: of the weights as the variant holds them; None where its runtime does not say.
        loaded_from: `artifact`, `quantised checkpoint` or `float32 weights`.
    """

    rss: int | None
    gpu: int | None = None
    missing: str | None = None
    crashed: bool = False
    steady: int | None = None
    gpu_steady: int | None = None
    weights: int | None = None
    loaded_from: str | None = None


class Peaks:
    """Measures peaks, in a fresh process once for an artifact store, or of the GPU in this one.

    Args:
        planned: the batches of a model's latency cases: one process measures all of them.
        here: whether `--peaks here` was given: then there is no process.
    """

    def __init__(self, models: Models, processes: Processes, placement: Placement, store: ArtifactStore,
                 gpu_memory: GpuMemory, planned: Callable[[ModelSpec], list[OneBatch]], allocator: str, here: bool):
        self._models = models
        self._processes = processes
        self._placement = placement
        self._store = store
        self._gpu_memory = gpu_memory
        self._planned = planned
        self._allocator = allocator
        self._in_this_process = here
        self._crashed: dict[str, Peak] = {}  # by key: the other cases of the variant would only hang or die again

    def of(self, case: Case, built: Built) -> Peak:
        """
        Raises:
            WrongOutput: the process gave a wrong output.
        """
        if self._in_this_process:
            return self._here(case, built)
        workloads = self._workloads(case, built)
        model = self._models.model(case.model)

        def write(_: Path) -> dict[str, dict[str, Any]]:
            checkpoint = self._processes.checkpoint(case.model, built)
            run = self._processes.run(case.model, built, [workload.inputs(model) for workload in workloads],
                                      checkpoint=checkpoint)
            of_each = zip(workloads, run.peaks, run.gpu_peaks, run.steady, run.gpu_steady, run.outputs, strict=True)
            source = "artifact" if built.directory else "quantised checkpoint" if checkpoint else "float32 weights"
            return {workload.id: {"rss": rss, "gpu": gpu, "steady": steady, "gpu_steady": gpu_steady,
                                  "weights": built.artifact_bytes or run.weights_bytes, "loaded_from": source,
                                  "wrong": self._processes.judge(case.model, workload, built, outputs)}
                    for workload, rss, gpu, steady, gpu_steady, outputs in of_each}

        determinants = {"build": key(built.variant, built.backend, model, case.device), "allocator": self._allocator,
                        "placement": asdict(self._placement), "workloads": [workload.id for workload in workloads],
                        "seed": case.model.seed, "facts": _FACTS}
        once = json.dumps(determinants, sort_keys=True)
        if once in self._crashed:
            return self._crashed[once]
        try:
            artifact = self._store.get(f"{case.model.name}-{built.variant.name}", determinants, write)
        except Crashed as reason:
            return self._crashed.setdefault(once, Peak(None, missing=str(reason), crashed=True))
        except (CannotRun, OSError) as reason:
            return Peak(None, missing=room.reason(reason, self._store.root) or str(reason))
        found = artifact.facts[case.workload.id]
        if found["wrong"]:
            raise wrong_elsewhere(case, built, "a process of its own", found["wrong"])
        return Peak(**{name: found[name] for name in _FACTS if name != "wrong"})

    def _workloads(self, case: Case, built: Built) -> list:
        reference = self._models.reference(case.model)
        one_shape = built.directory is not None and built.backend.per_workload
        own = one_shape or case.experiment != DEFAULT
        workloads = [case.workload] if own else self._planned(case.model)
        for workload in workloads:  # whether one changes what another one gives
            reference.expected(getattr(workload, "batch", workload))
        return [case.workload] if reference.remembers else workloads

    def _here(self, case: Case, built: Built) -> Peak:
        batch = getattr(case.workload, "batch", case.workload)
        native = built.runner.prepare(self._models.reference(case.model).expected(batch).inputs)
        gpu = self._gpu_memory.peak(lambda: built.runner(native))
        return Peak(None, gpu, "needs a process of its own: leave out --peaks here")
