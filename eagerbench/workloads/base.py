"""The interface of a workload. One that only one experiment uses is in its module, others are in this package."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from eagerbench.backends.base import Backend, Variant
from eagerbench.models.specs import ModelSpec

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


class Workload(ABC):
    """The inputs of a case. Subclasses are frozen dataclasses of plain values; equal ones give equal inputs.

    Modules of workloads import neither torch nor a backend's runtime: listing the plan must not load them.
    """

    option: ClassVar[str | None] = None
    """The option and file that it is of, where a selection whose models all refuse it is a mistake."""
    reads_texts: ClassVar[bool] = False
    """Whether it calls with texts, which variants that read texts themselves need."""

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """Its values as ids show them, `("b8", "s128")`: lower case letters, digits, `-` and `.`."""

    @property
    def id(self) -> str:
        return "-".join(self.parts)

    @property
    def title(self) -> str:
        """Its name above a group of benchmarks."""
        return " ".join(self.parts)

    @property
    def shape_of(self) -> "Workload":
        """The workload whose build serves this one too, where a build serves one shape."""
        return self

    def refuses(self, spec: ModelSpec, variant: Variant, backend: Backend) -> str | None:
        """Why this model or variant cannot take it; None when it can. Asked while the plan is made."""
        return None


class OneBatch(Workload):
    """A workload that is one call on one batch of `batch_size` rows, each of `sequence_length` positions."""

    batch_size: int
    sequence_length: int

    @property
    def title(self) -> str:
        return f"batch {self.batch_size} × {self.sequence_length}"

    @property
    def facts(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size, "sequence_length": self.sequence_length}

    @abstractmethod
    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """The batch, as the model's named inputs."""


class OnBatch(Workload):
    """A workload that is another way to call one batch. Subclasses have it as their field `batch`."""

    batch: OneBatch

    @property
    def parts(self) -> tuple[str, ...]:
        return self.batch.parts

    @property
    def title(self) -> str:
        return self.batch.title

    @property
    def facts(self) -> dict[str, Any]:
        return self.batch.facts

    def refuses(self, spec, variant, backend):
        return self.batch.refuses(spec, variant, backend)


def too_long(spec: ModelSpec, tokens: int) -> str | None:
    """The reason why a model cannot take a sequence, if its length limit says so."""
    if spec.max_length is not None and tokens > spec.max_length:
        return f"{spec.name} accepts at most {spec.max_length} tokens"
    return None


def text_only(spec: ModelSpec) -> str | None:
    """The reason why a model without sentences cannot take a workload of them."""
    taken = "images" if spec.image is not None else "audio" if spec.audio is not None else None
    return taken and f"{spec.name} reads {taken}, not text"


def head_unknown(spec: ModelSpec) -> str | None:
    """The reason why a model that says what it is only when loaded cannot be asked for its task."""
    if spec.kind not in ("hub", "factory"):
        return None
    return f"the task of {spec.name} is not known before it is loaded: save it and give the directory"


def another_build(backend: Backend, rebuilds: bool) -> str | None:
    """The reason why a shape is not worth a build of its own below the full grid."""
    return "its build serves another shape; add --grid full" if backend.per_workload and not rebuilds else None


def without_texts(workload: Workload, backend: Backend) -> str | None:
    """The reason why a backend that reads texts itself cannot take a workload of arrays."""
    return "it reads texts, this workload has arrays; name test_embeddings.py" if (
        backend.reads_texts and not workload.reads_texts) else None


def one_shape_only(backend: Backend) -> str | None:
    """The reason why a backend whose builds serve one shape cannot take a workload of several."""
    return "its build serves one shape, this workload has several" if backend.per_workload else None
