"""What `torch.export` makes of a model, for compilers and converters; and the same quantised as a graph (PT2E)."""

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import torch

from eagerbench.backends.axes import dynamic_axes
from eagerbench.backends.base import Arrays
from eagerbench.backends.torch_runner import TorchRunner, named_tensors

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


class Named(torch.nn.Module):
    """A dict of inputs in, a plain dict of tensors out, so that a process without transformers can load its export."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return named_tensors(self.module(**inputs))


class Called(torch.nn.Module):
    """Keyword inputs for a program whose one argument is the dict of inputs: what `TorchRunner` calls."""

    def __init__(self, program: Any):
        super().__init__()
        self.program = program

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.program(inputs)


def exported(model: "LoadedModel", example: Arrays) -> torch.export.ExportedProgram:
    """The program of a copy of the model, from SDPA attention, for any batch size and length."""
    native = TorchRunner(None, model.device).prepare(example)
    shapes = {name: dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for name, axes in dynamic_axes(model).items()}
    return export_quietly(Named(model.copy("sdpa")).eval(), native, (shapes,))


def export_quietly(module: torch.nn.Module, native: dict[str, torch.Tensor],
                   shapes: Any = None) -> torch.export.ExportedProgram:
    """`torch.export.export` of a module that takes a dict of inputs, without gradients and warnings.

    Args:
        shapes: its `dynamic_shapes`; None for those of `native` and no others.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module, (native,), dynamic_shapes=shapes)


def quantised(model: "LoadedModel", quantizer: Any, calibrated: bool) -> torch.fx.GraphModule:
    """The exported graph, quantised and widened again wherever `quantizer` has an int8 operator for what lies between.

    For any batch size and length; takes the dict of inputs.
    Source: https://docs.pytorch.org/ao/stable/pt2e_quantization/index.html

    Args:
        quantizer: torchao's, of the runtime that the graph is for.
        calibrated: whether ranges of activations are fixed, from inputs that no benchmark uses; else each call finds
            its own.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    from eagerbench.backends.calibration import calibration_batches
    from eagerbench.workloads import export_example

    runner = TorchRunner(None, model.device)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare_pt2e(_graph(exported(model, export_example(model.spec).inputs(model))), quantizer)
        batches = calibration_batches(model)
        for batch in batches if calibrated else batches[:1]:  # weights are looked at in a call too
            prepared(runner.prepare(batch))
        return convert_pt2e(prepared)


def _graph(program: torch.export.ExportedProgram) -> torch.fx.GraphModule:
    """Without the guards of newer torch, which refuse a batch of one, though the graph is right for it."""
    known = inspect.signature(program.module).parameters
    return program.module(**({"check_guards": False} if "check_guards" in known else {}))
