"""Modules traced for one shape: writing, loading, and calling them with smaller batches."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eagerbench.backends.artifacts import saving
from eagerbench.backends.base import Arrays
from eagerbench.backends.torch_runner import Positional, TorchRunner, named_tensors
from eagerbench.outputs.places import per_token

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

_FILE = "model.pt"
_TRACED = "traced.json"


class FixedShapeRunner(TorchRunner):
    """Calls a module that was traced for one shape: pads what is smaller, and cuts its outputs to size.

    Args:
        traced: `inputs` and `outputs`, names in the module's order, and `shape`, the first two sizes of its inputs.
    """

    def __init__(self, module: Any, traced: dict[str, list]):
        super().__init__(module)
        self._traced = traced

    def prepare(self, inputs):
        """The padded tensors in the module's order, and the shape that was asked for.

        Extra rows repeat the last one (a row without a real token has no softmax), extra positions are zero.

        Raises:
            ValueError: larger than what was traced.
        """
        rows, width = self._traced["shape"]
        shape = next(iter(inputs.values())).shape[:2]
        if shape[0] > rows or shape[1] > width:
            raise ValueError(f"traced for {rows} × {width}, called with {shape[0]} × {shape[1]}")
        padded = {}
        for name in self._traced["inputs"]:
            rest = [(0, 0)] * (inputs[name].ndim - 2)
            wide = np.pad(inputs[name], [(0, 0), (0, width - shape[1]), *rest])
            padded[name] = np.pad(wide, [(0, rows - shape[0]), (0, 0), *rest], mode="edge")
        return tuple(super().prepare(padded).values()), shape

    def __call__(self, native):
        tensors, (rows, width) = native
        with torch.inference_mode():
            outputs = self.module(*tensors)
        named = zip(self._traced["outputs"], outputs, strict=True)
        return {name: tensor[:rows, :width] if per_token(name, tensor, self._traced["shape"])
                else tensor[:rows] if tensor.dim() else tensor for name, tensor in named}


def load(directory: Path) -> FixedShapeRunner:
    """The runner of what `write` left."""
    return FixedShapeRunner(torch.jit.load(directory / _FILE), json.loads((directory / _TRACED).read_text()))


def write(model: "LoadedModel", example: Arrays, directory: Path, trace: Callable[..., Any]) -> None:
    """Trace for the example's shape by `trace(module, inputs)` and save the module with what its runner must know."""
    native = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in example.items()}
    wrapper = Positional(model.copy().cpu(), list(native)).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = named_tensors(wrapper.module(**native))
        traced = trace(wrapper, tuple(native.values()))
    buffer = io.BytesIO()  # torch.jit.save to a path aborts the process when the disk is full
    with saving():
        torch.jit.save(traced, buffer)
        (directory / _FILE).write_bytes(buffer.getbuffer())
    shape = list(next(iter(native.values())).shape[:2])
    (directory / _TRACED).write_text(json.dumps({"inputs": list(native), "outputs": list(outputs), "shape": shape}))
