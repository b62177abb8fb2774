"""The one entry point of measurement: build a case, time it, judge it, record it."""

import importlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from eagerbench import backends
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Arrays
from eagerbench.backends.building import Built, build
from eagerbench.backends.torch_runner import exact_float32
from eagerbench.errors import BadInput, CannotRun, first_line
from eagerbench.experiments import EXPERIMENTS
from eagerbench.fixtures.options import Selection
from eagerbench.machine import quiet, room
from eagerbench.measuring import example, one_path, record
from eagerbench.measuring.disturbance import Conditions
from eagerbench.measuring.fresh_process import FreshRun, run_fresh
from eagerbench.measuring.gpu_memory import GpuMemory
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.partner import Partner
from eagerbench.measuring.reference import Reference
from eagerbench.measuring.timing import Timing, accept, reject, time_against, time_in_duet
from eagerbench.measuring.turns import Call
from eagerbench.models.loading import LoadedModel, load
from eagerbench.models.saved import Saved, saved
from eagerbench.models.specs import ModelSpec
from eagerbench.models.state import Untouched
from eagerbench.outputs.tolerance import relative_distance
from eagerbench.plan import Case
from eagerbench.workloads import export_example
from eagerbench.workloads.base import OneBatch, Workload


class Meter:
    """Measures the cases of one session. Keeps one model, one built variant and the references in memory.

    Args:
        selection: what the user asked for.
        allocator: what is in effect, from `allocator.configure`.
        workloads: the batches of a model's latency cases, for measuring the memory of all of them in one process.
        partner: the other side, when this session is one of a duet.
    """

    def __init__(self, selection: Selection, allocator: str, workloads: Callable[[ModelSpec], list[OneBatch]],
                 partner: Partner | None = None):
        import torch

        torch.set_num_threads(selection.threads)
        exact_float32()  # TF32 is a variant
        self.selection = selection
        self.allocator = allocator
        self.placement = selection.placement
        self.store = ArtifactStore(selection.artifacts / "variants", selection.rebuild)
        self.peak_store = ArtifactStore(selection.artifacts / "memory", selection.rebuild)
        self.gpu_memory = GpuMemory(selection.device)
        self.workloads = workloads
        self._partner = partner
        self._model: tuple[ModelSpec, LoadedModel, Reference] | None = None
        self._built: tuple[tuple, Built, Untouched] | None = None
        self._refused: dict[tuple, CannotRun] = {}
        self._unloadable: dict[ModelSpec, CannotRun] = {}
        self._drifts: dict[tuple, float] = {}
        self._kept: dict[Hashable, Any] = {}
        self.measured_s = 0.0

    def load(self, spec: ModelSpec) -> None:
        """Load a model before anything is built of it.

        Raises:
            BadInput: it cannot be loaded, or makes no inputs to be called with.
        """
        model = self._loaded(spec)[0]
        if spec.kind == "factory" and spec.audio is None:
            try:
                export_example(model.spec).inputs(model)
            except CannotRun as reason:
                raise BadInput(f"--model {spec.target}: {reason}") from None
            except Exception as error:  # whatever a module of one's own makes of being asked for its inputs
                raise BadInput(f"--model {spec.target}: no inputs can be made for it ({first_line(error)}); give it a "
                               "method example_inputs") from error

    def model(self, spec: ModelSpec) -> LoadedModel:
        """
        Raises:
            CannotRun: it cannot be loaded any more, or, in a catalog, not on this machine.
        """
        if spec in self._unloadable:
            raise self._unloadable[spec]
        try:
            return self._loaded(spec)[0]
        except BadInput as error:
            self._unloadable[spec] = CannotRun(str(error))
            raise self._unloadable[spec] from error

    def reference(self, spec: ModelSpec) -> Reference:
        return self._loaded(spec)[1]

    def _loaded(self, spec: ModelSpec) -> tuple[LoadedModel, Reference]:
        if self._model is None or self._model[0] != spec:
            self._model = self._built = None  # give memory back before the next model takes it
            self._kept = {}
            model = load(spec, self.selection.device)
            try:
                _ = model.fingerprint, model.derived  # kept: of the model that no call has changed
                self._model = (spec, model, Reference(model, self.selection.device))
            except Exception as error:
                raise BadInput(f"--model {spec.name}: cannot be copied or hashed: {first_line(error)}; every variant "
                               "is built from a copy: return a module that copy.deepcopy() takes") from error
        return self._model[1:]

    def build(self, case: Case) -> Built:
        """The case's variant, built once for all workloads unless it serves one shape only.

        Raises:
            CannotRun: with the reason for the cell.
        """
        model, reference = self.model(case.model), self.reference(case.model)
        self.once("state", lambda: example.refuse_hidden_state(model, reference, self.workloads(case.model)))
        reference.renew()
        backend = backends.variants()[case.variant.name][1]
        own_shape = backend.per_workload or self._takes_another_path(case)
        identity = (case.model, case.variant.name, case.workload if own_shape else None)
        if identity in self._refused:
            raise self._refused[identity]
        if self._built is None or self._built[0] != identity or self._built[2].changed():
            self._built = None
            inputs = getattr(case.workload, "batch", case.workload).inputs(model) if own_shape else self._example(case)
            try:
                with self.gpu_memory.building():
                    built = build(case.variant.name, model, inputs, self.placement, self.store, own_shape)
            except CannotRun as reason:
                self._refused[identity] = one_path.in_plain_words(model, case, reason)
                raise self._refused[identity] from reason.__cause__
            self._built = (identity, built, Untouched(built.runner))
        return self._built[1]

    def _example(self, case: Case) -> Arrays:
        return self.once("example", lambda: example.for_all_shapes(self.model(case.model), self.reference(case.model)))

    def _takes_another_path(self, case: Case) -> bool:
        reference = self.reference(case.model)
        return self.once(("path", case.workload), lambda: example.takes_another_path(
            case.workload, reference, self._example(case)))

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make()` gives, made once for all variants of the model; its refusal is kept too."""
        if key not in self._kept:
            try:
                self._kept[key] = make()
            except CannotRun as reason:
                self._kept[key] = reason
        if isinstance(self._kept[key], CannotRun):
            raise self._kept[key]
        return self._kept[key]

    def measure(self, benchmark: Any, case: Case, built: Built) -> Conditions:
        """Time a built case by its experiment's method, judge the timed outputs, and record it.

        Returns the conditions it was measured under: they may make its time unusable.

        The test fails, and nothing of it is saved, when an output is wrong or the probe finds no evidence.
        """
        if built.runner.threads != self.selection.threads:
            pytest.fail(f"{case.bench_id}: runs on {built.runner.threads} threads, {self.selection.threads} were asked "
                        "for", pytrace=False)
        method = importlib.import_module(f"eagerbench.experiments.{EXPERIMENTS[case.experiment].method}")
        with quiet.alone():
            return self._measure(benchmark, case, built, method)

    def _measure(self, benchmark: Any, case: Case, built: Built, method: ModuleType) -> Conditions:
        reject(benchmark)  # until it is judged: whatever ends the test before, Ctrl-C too, no time of it is kept
        benchmark.group = case.group
        try:
            measured: Measured = method.measure(self, benchmark, case, built)
        except Exception as error:
            one_path.require(self.model(case.model), case, built, error)
            if (full := room.reason(error, self.store.root)) is None:
                raise
            raise CannotRun(full) from error
        self.measured_s += measured.spent_s
        if measured.comparison.failures:
            one_path.require(self.model(case.model), case, built)
            pytest.fail(f"{case.bench_id}: output differs from eager beyond {case.variant.tolerance}: "
                        + "; ".join(measured.comparison.failures), pytrace=False)
        engagement = built.backend.probe(case.variant, built.runner, measured.probe_inputs)
        if not engagement.engaged:
            pytest.fail(f"{case.bench_id}: not engaged: {engagement.summary}", pytrace=False)
        model = self.model(case.model)
        identity = record.identity(case, model, built.runner.threads, self.allocator)
        if self._partner is not None:
            self._partner.describe(identity)
        if measured.fields is not None:
            benchmark.extra_info.update(
                **identity,
                **record.correctness(case, measured.comparison, engagement),
                **record.costs(built, model, measured.first_call_s),
                **measured.fields(),
                **measured.conditions.fields())
        accept(benchmark)
        return measured.conditions

    def time_in_turns(self, benchmark: Any, bench_id: str, call: Call, reference: Call,
                      reference_s: float | None = None, observer: Any = None) -> Timing:
        """Time a call in turns with its reference; in a duet with the other commit's process instead."""
        if self._partner is not None:
            return time_in_duet(benchmark, call, self._partner, bench_id, self.selection.time_budget)
        return time_against(benchmark, call, reference, self.selection.time_budget, reference_s, observer)

    def drift(self, case: Case) -> dict[str, Any]:
        """How far a pruned model is from the whole one: relative L2 distance of its outputs, on a workload's inputs."""
        if case.model.layers is None:
            return {}
        key = (case.model, case.workload)
        if key not in self._drifts:
            reference = self.reference(case.model)
            expected = reference.expected(case.workload)
            whole = Reference(load(replace(case.model, layers=None), case.device), case.device).runner
            outputs = whole.arrays(whole(whole.prepare(expected.inputs)))
            self._drifts[key] = relative_distance(expected.outputs, outputs, expected.mask)
        return {"layers": case.model.layers, "drift_from_whole": record.json_number(self._drifts[key])}

    def saved(self, spec: ModelSpec) -> Saved:
        """The model's weights on disk, from which processes of their own load it."""
        return self.once(("saved", spec), lambda: saved(self.model(spec), self.store))

    def run_fresh(self, case: Case, built: Built, batches: list[Arrays], **how: Any) -> FreshRun:
        """Run batches by a variant in a process of its own.

        Raises:
            CannotRun: that process failed.
        """
        return run_fresh(built.variant.name, built.directory, self.saved(case.model).spec, batches, self.placement,
                         self.fresh_allocator, **how)

    @property
    def fresh_allocator(self) -> str:
        return "pinned" if self.allocator == "pinned" else "system"

    def reference_built(self) -> Built:
        """Eager as a built variant, for what it costs beside another one."""
        variant, backend = backends.variants()[backends.REFERENCE]
        return Built(variant, backend, self._model[2].runner, 0.0, 0.0, 0, None, False)

    def demand(self, case: Case, built: Built, outputs: Arrays, where: str) -> None:
        """Fail the test when outputs of the case's batch, made elsewhere, are wrong."""
        wrong = self.judge(case.model, case.workload, built, outputs)
        if wrong:
            self.fail_elsewhere(case, built, where, wrong)

    @staticmethod
    def fail_elsewhere(case: Case, built: Built, where: str, wrong: Sequence[str]) -> None:
        pytest.fail(f"{case.bench_id}: {built.variant.name} in {where}: output differs from eager beyond "
                    f"{built.variant.tolerance}: {'; '.join(wrong)}", pytrace=False)

    def judge(self, spec: ModelSpec, workload: Workload, built: Built, outputs: Arrays) -> tuple[str, ...]:
        """What is wrong with outputs of one batch by a variant: a line each."""
        batch = getattr(workload, "batch", workload)
        return self.reference(spec).expected(batch).judge(outputs, built.variant.tolerance).failures
