"""What the TorchScript backends share: tracing, their file, and what can be read from a module that ran."""

import inspect
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eagerbench.backends.artifacts import saving
from eagerbench.backends.base import Arrays, Placement
from eagerbench.backends.torch_runner import TorchRunner, counting
from eagerbench.causes import cause
from eagerbench.errors import Refused

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

FILE = "model.pt"


class PositionalRunner(TorchRunner):
    """Calls a traced module with its inputs by position, in the order that its own schema names."""

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(argument.name for argument in self.module.forward.schema.arguments[1:])  # the first is self

    def prepare(self, inputs):
        named = super().prepare(inputs)
        return tuple(named[name] for name in self.order)

    def _called(self, native):
        return self.module(*native)


class FusingRunner(TorchRunner):
    """Has the executor fuse oneDNN graphs at the first call with new shapes: one run to profile, one to fuse.

    The process's own setting of `torch.jit.enable_onednn_fusion` is put back afterwards; fused graphs stay fused.
    """

    def __init__(self, module: Any, device: str = "cpu"):
        super().__init__(module, device)
        self._fused: set[tuple[torch.Size, ...]] = set()

    def __call__(self, native):
        shapes = tuple(tensor.shape for tensor in native.values())
        if shapes not in self._fused:
            before = torch.jit.onednn_fusion_enabled()
            torch.jit.enable_onednn_fusion(True)
            try:
                for _ in range(2):
                    super().__call__(native)
            finally:
                torch.jit.enable_onednn_fusion(before)
            self._fused.add(shapes)
        return super().__call__(native)


def trace(model: "LoadedModel", example: Arrays, dtype: str = "float32", positional: bool = False) -> Any:
    """Trace a fresh copy of the reference; bf16 by autocast, whose casts of weights freezing then folds away.

    A mapping at the output (`ModelOutput`) needs `strict=False`; the script returns it as a dict with the same names.
    The copy is not untied: parameters that share memory (embeddings and the decoder of a masked-LM head) are one
    tensor in the artifact too, which keeps its size; it shares nothing with the model.

    Raises:
        ValueError: `positional`, and the inputs are not the first parameters of `forward`.
    """
    native = TorchRunner(None, model.device).prepare(example)
    how = {"example_kwarg_inputs": native}
    if positional:
        how = {"example_inputs": tuple(native[name] for name in positional_order(model.module, native))}
    return trace_module(model.copy(), how, dtype, model.device)


def trace_module(module: torch.nn.Module, how: dict[str, Any], dtype: str = "float32", device: str = "cpu") -> Any:
    """Trace a module, which is changed by it; `how` holds `torch.jit.trace`'s `example_inputs` or
    `example_kwarg_inputs`."""
    # A cached cast would be traced as a constant of one call, hence cache_enabled=False.
    autocast = torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=dtype == "bfloat16",
                              cache_enabled=False)
    with warnings.catch_warnings(), torch.no_grad(), autocast:
        warnings.simplefilter("ignore")
        return torch.jit.trace(counting(module), **how, strict=False, check_trace=False).eval()


def positional_order(module: torch.nn.Module, names: Arrays) -> tuple[str, ...]:
    """The inputs in the order of `forward`'s parameters.

    Raises:
        ValueError: another parameter comes before one of them, so that by position it would get that input.
    """
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [name for name, parameter in inspect.signature(module.forward).parameters.items()
                  if parameter.kind in by_position]
    order = parameters[:len(names)]
    for place, name in enumerate(order, 1):
        if name not in names:
            missing = next(other for other in names if other not in order)
            raise Refused(f"{type(module).__name__}.forward has {name!r} in place {place}, where {missing!r} would "
                          "go: it cannot be traced by position; `torchscript` traces it by keyword")
    if len(order) < len(names):
        raise Refused(f"{type(module).__name__}.forward takes {len(order)} inputs by position, not {len(names)}; "
                      "`torchscript` traces it by keyword")
    return tuple(order)


def save(script: Any, directory: Path) -> None:
    buffer = io.BytesIO()  # torch.jit.save to a path aborts the process when the disk is full
    with saving():
        torch.jit.save(script, buffer)
        (directory / FILE).write_bytes(buffer.getbuffer())


def load(directory: Path, placement: Placement) -> Any:
    return torch.jit.load(directory / FILE, map_location=placement.device)


def executed_graph(runner: TorchRunner, inputs: Arrays) -> torch._C.Graph:
    """The graph that the JIT's executor ran for these inputs, after its own optimisations.

    The first of the two calls may be the one that it profiles.
    """
    for _ in range(2):
        runner(runner.prepare(inputs))
    return torch._C._last_executed_optimized_graph()


def dynamic_shapes(runner: TorchRunner, inputs: Arrays) -> bool | str:
    """True when the artifact takes another batch size and length than `inputs` have, else the first line of the error.

    Tried with the first row alone, or twice if it is the only one, at half of its length. Whether other shapes are
    *right* is judged by every workload, since artifacts are traced at 3 × 11.
    """
    rows = 1 if len(next(iter(inputs.values()))) > 1 else 2
    other = {name: np.repeat(array[:1], rows, axis=0) for name, array in inputs.items()}
    other = {name: array[:, :(array.shape[1] + 1) // 2] if array.ndim == 2 else array for name, array in other.items()}
    try:
        outputs = runner.arrays(runner(runner.prepare(other)))
    except Exception as error:
        return cause(error)
    wrong = [f"{name} has {len(array)} rows instead of {rows}" for name, array in outputs.items() if len(array) != rows]
    return wrong[0] if wrong else True
