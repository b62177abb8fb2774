"""What a backend is. A new one is a module with a `BACKEND` object and one line in the registry.

Modules of backends import their runtime inside their methods: listing the plan must not load any of them.
"""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from eagerbench.backends.runner import Arrays, Engagement, Runner

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

@dataclass(frozen=True)
class Variant:
    """A backend with its options and dtype fixed: what a user selects and a row shows.

    Attributes:
        tolerance: name of a class in `eagerbench.outputs.tolerance`.
        dtype: dtype of the matrix products, for `fraction_of_peak`: float32, bfloat16, float16 or int8.
        options: everything else that determines the build; JSON scalars only (they are part of the cache key).
    """

    name: str
    tolerance: str
    dtype: str = "float32"
    options: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Placement:
    """Where and how wide a variant runs: `cpu` or `cuda:N`, and the intra-op threads of its runtime.

    `device_map` and `max_memory` (pairs of device and size) go to accelerate; most backends have no use for them.
    """

    device: str = "cpu"
    threads: int = 1
    device_map: str | None = None
    max_memory: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class OpenedBy:
    """How an artifact is opened, for a process that has its files alone; `load` opens it with the same settings.

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
    """How a variant without an artifact is built, for a process that has its weights and none of this project.

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

    `packages` are import names that must be installed, by the command `install`; their versions are part of every
    cache key. Set `per_workload` when a build serves one input shape only, `costly` when a build takes more than
    some seconds (the quick tests then build it for fewer models), `right_padding_only` when its runners refuse
    every other mask, `on_request` when the variants run only where they are named, `own_process` when calls run in
    another process, `builds_module` when a runner's `module` is a transformers module whose own `generate()` runs the
    build, and `saves_quantised` when its users load it from a checkpoint that is quantised already. `unpackaged`
    says why what it exports cannot be packaged.
    """

    variants: ClassVar[tuple[Variant, ...]]
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    per_workload: ClassVar[bool] = False
    costly: ClassVar[bool] = False
    right_padding_only: ClassVar[bool] = False
    on_request: ClassVar[bool] = False
    own_process: ClassVar[bool] = False
    builds_module: ClassVar[bool] = False
    saves_quantised: ClassVar[bool] = False
    install: ClassVar[str] = ""
    unpackaged: ClassVar[str] = "only this suite can open what it exports"

    def unavailable(self, variant: Variant, device: str) -> str | None:
        """Why this machine or environment cannot run the variant; None when it can.

        Asked for every variant while the plan is made: import nothing heavy for it, not torch either.
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
        """The variant as it runs on a device: some compute less exactly on a GPU, and are judged by another class."""
        return variant

    def refuses(self, variant: Variant, placement: Placement) -> str | None:
        """`unavailable`, and why the variant cannot run as it is to be placed; None when it can."""
        return self.unavailable(variant, placement.device)

    def bf16_unavailable(self) -> str | None:
        """Why this processor has no bf16 matrix product for this runtime. Here: for PyTorch's."""
        from eagerbench.backends.bf16 import unavailable

        return unavailable()

    @abstractmethod
    def build(self, variant: Variant, model: "LoadedModel", example: Arrays, placement: Placement) -> Runner:
        """Build the variant. `example` are inputs of the first workload; other shapes follow."""

    @abstractmethod
    def build_disengaged(self, variant: Variant, model: "LoadedModel", example: Arrays,
                         placement: Placement) -> Runner:
        """The same with its optimisation switched off: what the probe must tell apart (its negative test)."""

    @abstractmethod
    def probe(self, variant: Variant, runner: Runner, inputs: Arrays) -> Engagement:
        """Look for evidence on a runner that has been called."""

    def built_by(self, variant: Variant, runner: Runner) -> BuiltBy | None:
        """How another process builds what this runner is; None where nothing but this package can."""
        return None

    def save_quantised(self, variant: Variant, model: "LoadedModel", directory: Path) -> None:
        """Write the checkpoint that the variant's users load, of backends with `saves_quantised`. Before the module is
        called: a call may change what is saved."""
        raise TypeError(f"{variant.name} has no checkpoint of its own")

    def load_quantised(self, variant: Variant, directory: Path, placement: Placement) -> Runner:
        """Load that checkpoint; needs nothing of the float32 model."""
        raise TypeError(f"{variant.name} has no checkpoint of its own")

    def weights_bytes(self, runner: Runner) -> int | None:
        """Bytes of the weights that a runner holds, with what quantisation adds; None where a runtime hides them."""
        module = getattr(runner, "module", None)
        if not hasattr(module, "named_parameters"):
            return None
        from eagerbench.backends.torch_runner import held_bytes

        return held_bytes([*module.parameters(), *module.buffers()])

    def cannot_generate(self, variant: Variant, cache: str) -> str | None:
        """Why `generate()` cannot run on its builds with a key-value cache; None when it can.

        Args:
            cache: `none` (the whole text again at every token), `dynamic` (grows) or `static` (allocated once).
        """
        if self.builds_module:
            return None
        if self.per_workload:
            return "its build serves one shape, generation has a longer one at every token"
        return None if cache == "none" else "its build accepts no past key values: it generates without a cache only"

    def generator(self, variant: Variant, runner: Runner, model: "LoadedModel", cache: str,
                  placement: Placement) -> Any:
        """A transformers module whose `generate()` runs this build; `cache` is one that `cannot_generate` admits."""
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
    """A backend whose build is an artifact on disk, cached by everything that determines it."""

    def build(self, variant: Variant, model: "LoadedModel", example: Arrays, placement: Placement) -> Runner:
        raise TypeError(f"{variant.name} is exported and loaded through eagerbench.backends.building")

    def owner(self, variant: Variant) -> tuple[Variant, "ExportingBackend"]:
        """Whose artifact the variant loads: its own, or that of another variant, which then exports it."""
        return variant, self

    def make_ready(self, variant: Variant) -> None:
        """Whatever is to be there before an artifact is loaded, and is no part of loading it: a program to be built."""

    @abstractmethod
    def export(self, variant: Variant, model: "LoadedModel", example: Arrays, directory: Path) -> float | None:
        """Write the artifact into an empty directory.

        Returns:
            Seconds saved by work that an earlier build did for this one too, if any: they belong to its `build_s`.
        """

    def opened_by(self, variant: Variant, placement: Placement) -> OpenedBy | None:
        """How `load` opens the artifact; None where nothing but this package can."""
        return None

    @abstractmethod
    def load(self, variant: Variant, directory: Path, placement: Placement) -> Runner:
        """Load an artifact; needs nothing of the model, so a fresh process can do it."""
