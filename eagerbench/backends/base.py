"""The interface of a backend. To add one, write a module with a `BACKEND` object and add a line to the registry.

Backend modules import their runtime inside methods, because listing the plan must not load any runtime.
"""

import enum
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from eagerbench.backends.runner import Arrays, Engagement, Runner

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


class Runs(enum.Enum):
    """Where a variant runs that nobody has named. With `--variant` or `--grid full` every one runs everywhere."""

    IN_EVERY_EXPERIMENT = enum.auto()
    IN_LATENCY = enum.auto()  # and in the others that ask every variant; in all experiments it would take an hour
    AT_ONE_SHAPE = enum.auto()  # of the default grid, without its quality: it shows what a part of another row brings
    IN_SMALLER_GRIDS = enum.auto()  # not in the default one: it compiles for longest, and was nowhere the fastest
    WHEN_NAMED = enum.auto()


@dataclass(frozen=True)
class Variant:
    """A backend with fixed options and dtype: users select it, and tables have a row for it.

    Attributes:
        tolerance: name of a class in `eagerbench.outputs.tolerance`.
        dtype: dtype of the matrix products, for `fraction_of_peak`: float32, bfloat16, float16 or int8.
        options: everything else that determines the build; JSON scalars only (they are part of the cache key).
        runs: where it runs when nobody has named it.
    """

    name: str
    tolerance: str
    dtype: str = "float32"
    options: Mapping[str, str | int | bool] = field(default_factory=dict)
    runs: Runs = Runs.IN_LATENCY


@dataclass(frozen=True)
class Placement:
    """Where a variant runs: `cpu` or `cuda:N`, and the number of intra-op threads of its runtime.

    `device_map` and `max_memory` (pairs of device and size) are for accelerate; most backends ignore them.
    """

    device: str = "cpu"
    threads: int = 1
    device_map: str | None = None
    max_memory: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class OpenedBy:
    """How a process that has only the files opens an artifact; `load` opens it with the same settings.

    Attributes:
        runtime: `onnxruntime`, `openvino`, `torchscript` or `aot-inductor`.
        file: the artifact's main file.
        settings: JSON, by the runtime's own names.
    """

    runtime: str
    file: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BuiltBy:
    """How a process without eagerbench builds a variant that has no artifact, from its weights.

    Attributes:
        recipe: `builds_RECIPE.py` among the templates of `eagerbench.packaging`.
        settings: JSON that the recipe reads, `dtype` and `attention` among them.
        weights: `model` (its float32 weights), `quantised` (what `save_quantised` writes), `module` (the runner's), or
            `script` (the runner's TorchScript module, which needs no transformers).
        packages: distributions that it needs.
    """

    recipe: str
    settings: Mapping[str, Any]
    weights: str = "model"
    packages: tuple[str, ...] = ("torch", "transformers", "safetensors")


class Backend(ABC):
    """A way to run a model, built in memory.

    Attributes:
        variants: what it offers.
        packages: import names that must be installed; their versions are part of every cache key.
        devices: device types it runs on.
        per_workload: a build accepts one input shape only.
        costly: a build takes more than some seconds, so the quick tests build it for fewer models.
        right_padding_only: runners refuse any mask but padding on the right.
        own_process: calls run in another process.
        reads_texts: runners are called with texts and return embeddings.
        builds_module: a runner's `module` is a transformers module whose own `generate()` runs the build.
        saves_quantised: users load it from a checkpoint that is already quantised.
        install: the command that installs `packages`.
        unpackaged: what a user is told of an export that has no loader of its own in a package.
    """

    variants: ClassVar[tuple[Variant, ...]]
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    per_workload: ClassVar[bool] = False
    costly: ClassVar[bool] = False
    right_padding_only: ClassVar[bool] = False
    own_process: ClassVar[bool] = False
    reads_texts: ClassVar[bool] = False
    builds_module: ClassVar[bool] = False
    saves_quantised: ClassVar[bool] = False
    install: ClassVar[str] = ""
    unpackaged: ClassVar[str] = "only this suite can open what it exports"

    def unavailable(self, variant: Variant, device: str) -> str | None:
        """Why this machine or environment cannot run the variant; None when it can.

        Called for every variant while the plan is made, so it must not import torch or anything else that is slow.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            return f"not installed: {', '.join(missing)}" + (f" (run: {self.install})" if self.install else "")
        if device.partition(":")[0] not in self.devices:
            return f"runs on {' and '.join(self.devices)}, not on {device}"
        if variant.dtype == "bfloat16" and device == "cpu":
            return self.bf16_unavailable()
        return None if device == "cpu" else _narrow_dtype_unavailable(variant.dtype, device)

    def on(self, variant: Variant, device: str) -> Variant:
        """The variant as it runs on a device. Some compute less exactly on a GPU and get another tolerance class."""
        return variant

    def refuses(self, variant: Variant, placement: Placement) -> str | None:
        """The reason of `unavailable`, or why the variant cannot run with this placement; None when it can."""
        return self.unavailable(variant, placement.device)

    def bf16_unavailable(self) -> str | None:
        """Why this runtime has no bf16 matrix product on this processor; None if it has. The default is PyTorch's."""
        from eagerbench.backends.bf16 import unavailable

        return unavailable()

    @abstractmethod
    def build(self, variant: Variant, model: "LoadedModel", example: Arrays, placement: Placement) -> Runner:
        """Build the variant. `example` is inputs of the first workload; others follow, unless `per_workload` is set."""

    @abstractmethod
    def build_disengaged(self, variant: Variant, model: "LoadedModel", example: Arrays,
                         placement: Placement) -> Runner:
        """The same with the optimisation switched off. A test checks that `probe` notices."""

    @abstractmethod
    def probe(self, variant: Variant, runner: Runner, inputs: Arrays) -> Engagement:
        """Look for evidence that the optimisation ran, on a runner that has been called."""

    def built_by(self, variant: Variant, runner: Runner) -> BuiltBy | None:
        """How another process builds this runner; None if only eagerbench can."""
        return None

    def save_quantised(self, variant: Variant, model: "LoadedModel", directory: Path) -> None:
        """Write the checkpoint that the variant's users load (backends with `saves_quantised`). It is called before any
        call of the module, which may change what is saved."""
        raise TypeError(f"{variant.name} has no checkpoint of its own")

    def load_quantised(self, variant: Variant, directory: Path, placement: Placement) -> Runner:
        """Load that checkpoint, without the float32 model."""
        raise TypeError(f"{variant.name} has no checkpoint of its own")

    def weights_bytes(self, runner: Runner) -> int | None:
        """Bytes of the weights that a runner holds, quantisation state included; None if the runtime hides them."""
        module = getattr(runner, "module", None)
        if not hasattr(module, "named_parameters"):
            return None
        from eagerbench.backends.torch_runner import held_bytes

        return held_bytes([*module.parameters(), *module.buffers()])

    def cannot_generate(self, variant: Variant, cache: str) -> str | None:
        """Why `generate()` cannot run on its builds with this key-value cache; None when it can.

        Args:
            cache: `none` (computes the whole text for every token), `dynamic` (grows) or `static` (allocated once).
        """
        if self.builds_module:
            return None
        if self.per_workload:
            return "its build serves one shape, generation has a longer one at every token"
        return None if cache == "none" else "its build accepts no past key values: it generates without a cache only"

    def generator(self, variant: Variant, runner: Runner, model: "LoadedModel", cache: str,
                  placement: Placement) -> Any:
        """A transformers module whose `generate()` runs this build, or a runtime's own loop under that name, with a
        `cache` that `cannot_generate` accepts."""
        if self.builds_module:
            return runner.module
        from eagerbench.backends.generating import recomputing

        return recomputing(model, runner)


def _narrow_dtype_unavailable(dtype: str, device: str) -> str | None:
    """Why a GPU has no fast product in bf16 or TF32; None when it has, and for other dtypes and devices."""
    if dtype not in ("bfloat16", "tf32") or not device.startswith("cuda"):
        return None
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    if major >= 8:
        return None
    return f"this GPU (compute capability {major}.{minor}) has no {dtype} products: they came with 8.0"


class ExportingBackend(Backend):
    """A backend that exports an artifact to disk. It is cached under a key of everything that affects it."""

    def build(self, variant: Variant, model: "LoadedModel", example: Arrays, placement: Placement) -> Runner:
        raise TypeError(f"{variant.name} is exported and loaded through eagerbench.backends.building")

    def owner(self, variant: Variant) -> tuple[Variant, "ExportingBackend"]:
        """The variant and backend that export the artifact: itself, or another one whose artifact it loads."""
        return variant, self

    def make_ready(self, variant: Variant) -> None:
        """Prepare what loading needs but does not count as loading, such as building a program."""

    @abstractmethod
    def export(self, variant: Variant, model: "LoadedModel", example: Arrays, directory: Path) -> float | None:
        """Write the artifact into an empty directory.

        Returns:
            Seconds of work that an earlier build did for this one too, if any; they are added to its `build_s`.
        """

    def opened_by(self, variant: Variant, placement: Placement) -> OpenedBy | None:
        """How `load` opens the artifact; None if only eagerbench can."""
        return None

    @abstractmethod
    def load(self, variant: Variant, directory: Path, placement: Placement) -> Runner:
        """Load an artifact, without the model: a fresh process can do it."""
