"""Wires together what measures the cases of a session: small parts, each with one job."""

import gc
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Arrays
from eagerbench.backends.building import Built
from eagerbench.backends.torch_runner import exact_float32
from eagerbench.case import Case
from eagerbench.errors import BadInput
from eagerbench.machine import spent
from eagerbench.measuring import one_path
from eagerbench.measuring.builds import Builds
from eagerbench.measuring.drift import Drift
from eagerbench.measuring.gpu_memory import GpuMemory
from eagerbench.measuring.models import Models
from eagerbench.measuring.peaks import Peaks
from eagerbench.measuring.processes import Processes
from eagerbench.models.specs import ModelSpec
from eagerbench.store.in_use import COMPILED, Use
from eagerbench.workloads import labelled
from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.measuring.partner import Partner
    from eagerbench.selection import Selection

# What a phase of a case is booked as; what is done in it may be booked as something else.
_PARTS = {"building": "building", "preparing": "references", "first call": "warming_up", "timing": "timing",
          "judging": "judging", "probing": "probing", "recording": "recording"}


class Session:
    """
    Args:
        selection: what the user asked for.
        allocator: what is in effect, from `allocator.configure`.
        planned: the batches of a model's latency cases.
        partner: the other side, when this session is one of a duet.
        entered: called with each phase of a case as it begins, outside of timed regions. The time is booked by it
            (`machine.spent`).
        beside: how many other processes build at the same time.
    """

    def __init__(self, selection: "Selection", allocator: str, planned: Callable[[ModelSpec], list[OneBatch]],
                 partner: "Partner | None" = None, entered: Callable[[str], None] = lambda phase: None,
                 beside: int = 0):
        import torch

        torch.set_num_threads(selection.threads)
        exact_float32()  # TF32 is a variant
        if not gc.get_freeze_count():  # the libraries' objects: the collection before each timing would visit them all
            gc.collect()
            gc.freeze()
        self.selection = selection
        self.allocator = allocator
        self.partner = partner
        self._entered = entered
        self.measured_s = 0.0  # inside warm-up, timed and reference calls
        self._compiled = Use(selection.artifacts)
        self._compiled.note(COMPILED)
        store = ArtifactStore(selection.artifacts / "variants", selection.rebuild)
        peak_store = ArtifactStore(selection.artifacts / "memory", selection.rebuild)
        gpu_memory = GpuMemory(selection.device)
        self.artifacts = store.root
        self.models = Models(selection.device)
        self.builds = Builds(self.models, selection.placement, store, gpu_memory, planned, beside)
        self.processes = Processes(self.models, selection.placement, store, allocator)
        self.peaks = Peaks(self.models, self.processes, selection.placement, peak_store, gpu_memory, planned, allocator,
                           selection.peaks == "here")
        self.drift = Drift(self.models)

    def entered(self, phase: str) -> None:
        """A phase of a case begins."""
        spent.enter(_PARTS[phase])
        self._entered(phase)

    def load_named(self) -> None:
        """Load the models that were named, before anything is built: a mistake is found now.

        Raises:
            BadInput: one cannot be loaded, or none can be asked by a file of labels.
        """
        files = {labelled.RETRIEVAL: self.selection.retrieval, labelled.LABELS: self.selection.labels}
        reasons: dict[str, list[str | None]] = {option: [] for option, file in files.items() if file is not None}
        for spec in self.selection.models:
            if spec.kind == "catalog":
                continue
            self.models.load(spec)
            for option, found in reasons.items():
                found.append(labelled.unusable(self.models.model(spec), option, files[option]))
        for option, found in reasons.items():
            if found and all(found):
                raise BadInput(f"{option} {files[option]}: {found[0]}")

    def require_one_path(self, case: Case, built: Built, called: Iterable[Arrays] | None, error: Exception) -> None:
        """
        Raises:
            CannotRun: an export is wrong, or fails, because the model takes another path for this case.
        """
        one_path.require(self.models.model(case.model), case, built, called, error)
