"""A case: one model, variant, experiment and workload."""

from dataclasses import dataclass

from eagerbench.backends.base import Variant
from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.base import Workload

DEFAULT = "latency"  # the experiment that ids do not name, and of a perf test without a marker


@dataclass(frozen=True)
class Case:
    """One (model, variant, experiment, workload): one benchmark, one record. `reason` says why it cannot run."""

    model: ModelSpec
    variant: Variant
    experiment: str
    workload: Workload
    device: str
    reason: str | None

    @property
    def id(self) -> str:
        """Test id, usable with `-k`: `minilm-sdpa-b8-s128`, `minilm-sdpa-corpus-b8-sorted`."""
        return "-".join((self.model.name, self.variant.name, *self._marked, self.workload.id))

    @property
    def bench_id(self) -> str:
        """Identity across commits, built from values: `minilm/sdpa/b8/s128/cpu`, `minilm/sdpa/corpus/b8/sorted/cpu`."""
        return "/".join((self.model.name, self.variant.name, *self._marked, *self.workload.parts, self.device))

    @property
    def group(self) -> str:
        """What variants are compared in: all on the same workload of a model."""
        return " ".join((self.model.name, *self._marked, self.workload.title))

    @property
    def place(self) -> str:
        """The workload in a line of the terminal: `8×128`, `corpus b8-sorted-n200`."""
        if self._marked:
            return f"{self.experiment} {self.workload.id}"
        sizes = self.workload.facts.get("batch_size"), self.workload.facts.get("sequence_length")
        return self.workload.id if None in sizes else "×".join(map(str, sizes))

    @property
    def _marked(self) -> tuple[str, ...]:
        return () if self.experiment == DEFAULT else (self.experiment,)
