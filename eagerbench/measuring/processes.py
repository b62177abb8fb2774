"""Variants in processes of their own: what loads them there, and whether what they gave is right."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Arrays, Placement
from eagerbench.backends.building import Built, key
from eagerbench.case import Case
from eagerbench.errors import CannotRun, WrongOutput, first_line
from eagerbench.measuring.fresh_process import FreshRun, run_fresh
from eagerbench.measuring.instances import Instance, ready, run_instances
from eagerbench.measuring.models import Models
from eagerbench.measuring.own_process import OwnProcess
from eagerbench.models.saved import Saved, saved
from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.base import Workload


class Processes:
    """Starts processes that load a variant as production does.

    Args:
        models: where models and references are from.
        store: of weights on disk.
        allocator: of this process; theirs is `pinned` or `system` too.
    """

    def __init__(self, models: Models, placement: Placement, store: ArtifactStore, allocator: str):
        self._models = models
        self._placement = placement
        self._store = store
        self._allocator = "pinned" if allocator == "pinned" else "system"

    def saved(self, spec: ModelSpec) -> Saved:
        """The model's weights on disk, from which processes of their own load it."""
        return self._models.memo.once(("saved", spec), lambda: saved(self._models.model(spec), self._store))

    def run(self, spec: ModelSpec, built: Built, batches: list[Arrays], **how: Any) -> FreshRun:
        """Run batches by a variant in a new process.

        Raises:
            CannotRun: that process failed.
        """
        return run_fresh(built.variant.name, built.directory, self.saved(spec).spec, batches, self._placement,
                         self._allocator, **how)

    def checkpoint(self, spec: ModelSpec, built: Built) -> Path | None:
        """The model saved quantised, once for a store, where the variant's users load it so; None where they do not, or
        where a device map places it.

        Raises:
            CannotRun: it cannot be saved.
        """
        if not built.backend.saves_quantised or self._placement.device_map is not None:
            return None
        model = self._models.model(spec)

        def write(directory: Path) -> dict[str, Any]:
            built.backend.save_quantised(built.variant, model, directory)
            return {}

        determinants = {"format": "checkpoint", **key(built.variant, built.backend, model, self._placement.device)}
        try:
            return self._store.get(f"{spec.name}-{built.variant.name}-checkpoint", determinants, write).directory
        except (ValueError, TypeError, RuntimeError, AttributeError, NotImplementedError) as error:
            raise CannotRun(f"its quantised weights cannot be saved: {first_line(error)}") from error

    def instances(self, spec: ModelSpec, built: Built, inputs: Arrays, cores: Sequence[Sequence[int]],
                  window_s: float) -> list[Instance]:
        """Run one batch again and again in processes side by side, each pinned to its cores.

        Raises:
            CannotRun: one of them failed.
        """
        return run_instances(built.variant.name, built.directory, self.saved(spec).spec, inputs, self._placement,
                             self._allocator, cores, window_s)

    def side_by_side(self, module: str, spec: ModelSpec, built: Built, batches: list[Arrays],
                     cores: Sequence[Sequence[int]],
                     **more: Any) -> AbstractContextManager[tuple[Path, list[OwnProcess]]]:
        """Processes of a module, pinned to their cores, that have a variant ready (`instances.ready`).

        Raises:
            CannotRun: one of them failed.
        """
        return ready(module, built.variant.name, built.directory, self.saved(spec).spec, batches,
                               self._placement, self._allocator, cores, **more)

    def demand(self, case: Case, built: Built, outputs: Arrays, where: str) -> None:
        """
        Raises:
            WrongOutput: outputs of the case's batch, made elsewhere, are wrong.
        """
        wrong = self.judge(case.model, case.workload, built, outputs)
        if wrong:
            raise wrong_elsewhere(case, built, where, wrong)

    def judge(self, spec: ModelSpec, workload: Workload, built: Built, outputs: Arrays) -> tuple[str, ...]:
        """What is wrong with outputs of one batch by a variant: a line each."""
        batch = getattr(workload, "batch", workload)
        return self._models.reference(spec).expected(batch).judge(outputs, built.variant.tolerance).failures


def wrong_elsewhere(case: Case, built: Built, where: str, wrong: Sequence[str]) -> WrongOutput:
    return WrongOutput(f"{case.bench_id}: {built.variant.name} in {where}: output differs from eager beyond "
                       f"{built.variant.tolerance}: {'; '.join(wrong)}")
