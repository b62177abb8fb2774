"""Built variants: one in memory at a time, for as many cases as it serves."""

from collections.abc import Callable

from eagerbench import backends
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Arrays, Placement
from eagerbench.backends.building import Built, build
from eagerbench.case import Case
from eagerbench.errors import CannotRun
from eagerbench.machine import spent
from eagerbench.measuring import example, one_path
from eagerbench.measuring.gpu_memory import GpuMemory
from eagerbench.measuring.models import Models
from eagerbench.models.specs import ModelSpec
from eagerbench.models.state import Untouched
from eagerbench.workloads.base import OneBatch


class Builds:
    """Builds the variants of cases.

    Args:
        models: where models and references are from.
        store: of artifacts.
        planned: the batches of a model's latency cases, by which a model that remembers is found out.
        beside: how many other processes build at the same time.
    """

    def __init__(self, models: Models, placement: Placement, store: ArtifactStore, gpu_memory: GpuMemory,
                 planned: Callable[[ModelSpec], list[OneBatch]], beside: int = 0):
        self._beside = beside
        self._models = models
        self._placement = placement
        self._store = store
        self._gpu_memory = gpu_memory
        self._planned = planned
        self._refused: dict[tuple, CannotRun] = {}

    def build(self, case: Case) -> Built:
        """The case's variant, built once for all workloads unless it serves one shape only.

        Raises:
            CannotRun: with the reason for the cell.
        """
        model, reference = self._models.model(case.model), self._models.reference(case.model)
        backend = backends.variants()[case.variant.name][1]
        with spent.during("references"):
            self._models.memo.once("state", lambda: example.refuse_hidden_state(model, reference,
                                                                                self._planned(case.model)))
            reference.renew()
            own_shape = backend.per_workload or self._takes_another_path(case)
        owner = case.workload.shape_of if backend.per_workload else case.workload
        identity = (case.model, case.variant.name, owner if own_shape else None)
        if identity in self._refused:
            raise self._refused[identity]
        now = self._models.built
        if now is None or now[0] != identity or now[2].changed():
            now = self._models.built = None  # give memory back before the next build takes it
            inputs = getattr(owner, "batch", owner).inputs(model) if own_shape else self._example(case)
            try:
                with self._gpu_memory.building():
                    built = build(case.variant.name, model, inputs, self._placement, self._store, own_shape,
                                  self._beside)
            except CannotRun as reason:
                self._refused[identity] = one_path.in_plain_words(model, case, reason)
                raise self._refused[identity] from reason.__cause__
            now = self._models.built = (identity, built, Untouched(built.runner))
        return now[1]

    def eager(self, spec: ModelSpec) -> Built:
        """Eager as a built variant, for what it costs beside another one."""
        variant, backend = backends.variants()[backends.REFERENCE]
        return Built(variant, backend, self._models.reference(spec).runner, 0.0, 0.0, 0, None, False)

    def _example(self, case: Case) -> Arrays:
        model, reference = self._models.model(case.model), self._models.reference(case.model)
        return self._models.memo.once("example", lambda: example.for_all_shapes(model, reference))

    def _takes_another_path(self, case: Case) -> bool:
        reference = self._models.reference(case.model)
        return self._models.memo.once(("path", case.workload), lambda: example.takes_another_path(
            case.workload, reference, self._example(case)))
