"""What measures the cases of one session: small parts, each with one job, made once and wired here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.building import Built
from eagerbench.backends.torch_runner import exact_float32
from eagerbench.case import Case
from eagerbench.errors import CannotRun, NotEngaged, WrongOutput
from eagerbench.experiments import EXPERIMENTS
from eagerbench.machine import quiet, room
from eagerbench.measuring import one_path
from eagerbench.measuring.builds import Builds
from eagerbench.measuring.drift import Drift
from eagerbench.measuring.gpu_memory import GpuMemory
from eagerbench.measuring.models import Models
from eagerbench.measuring.peaks import Peaks
from eagerbench.measuring.processes import Processes
from eagerbench.measuring.run import Run
from eagerbench.measuring.timing import reject
from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.measuring.partner import Partner
    from eagerbench.selection import Selection


class Session:
    """
    Args:
        selection: what the user asked for.
        allocator: what is in effect, from `allocator.configure`.
        planned: the batches of a model's latency cases.
        partner: the other side, when this session is one of a duet.
    """

    def __init__(self, selection: "Selection", allocator: str, planned: Callable[[ModelSpec], list[OneBatch]],
                 partner: "Partner | None" = None):
        import torch

        torch.set_num_threads(selection.threads)
        exact_float32()  # TF32 is a variant
        self.selection = selection
        self.allocator = allocator
        self.partner = partner
        self.measured_s = 0.0  # inside warm-up, timed and reference calls
        store = ArtifactStore(selection.artifacts / "variants", selection.rebuild)
        peak_store = ArtifactStore(selection.artifacts / "memory", selection.rebuild)
        gpu_memory = GpuMemory(selection.device)
        self._root = store.root
        self.models = Models(selection.device)
        self.builds = Builds(self.models, selection.placement, store, gpu_memory, planned)
        self.processes = Processes(self.models, selection.placement, store, allocator)
        self.peaks = Peaks(self.models, self.processes, selection.placement, peak_store, gpu_memory, planned, allocator,
                           selection.peaks == "here")
        self.drift = Drift(self.models)

    @contextmanager
    def measuring(self, benchmark: Any, case: Case, built: Built) -> Iterator[Run]:
        """A run of a built case. Whatever ends it early, Ctrl-C too, no time of it is kept.

        Raises:
            WrongOutput, NotEngaged: the case fails.
            CannotRun: with the reason for the cell.
        """
        if built.runner.threads != self.selection.threads:
            raise WrongOutput(f"{case.bench_id}: runs on {built.runner.threads} threads, {self.selection.threads} were "
                              "asked for")
        reject(benchmark)
        benchmark.group = case.group
        run = None
        with quiet.alone():
            try:
                run = EXPERIMENTS[case.experiment].run(self, benchmark, case, built)
                yield run
            except (WrongOutput, NotEngaged):
                raise
            except Exception as error:
                if run is None or not run.judged:  # outputs that are right came from the model's own path
                    self.require_one_path(case, built, error)
                if (full := room.reason(error, self._root)) is None:
                    raise
                raise CannotRun(full) from error
        if not run.finished:
            raise RuntimeError(f"{case.bench_id}: the perf test ends without run.finish(timing): nothing is recorded")

    def require_one_path(self, case: Case, built: Built, error: Exception | None = None) -> None:
        """
        Raises:
            CannotRun: an export is wrong, or fails, because the model takes another path for this case.
        """
        one_path.require(self.models.model(case.model), case, built, error)
