"""What the backends inside PyTorch share: the runner, a profile of one call, oneDNN's own log."""

import collections
import ctypes
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from eagerbench.backends import bf16
from eagerbench.backends.runner import Arrays, Engagement
from eagerbench.errors import CannotRun

_PRODUCT = r",(?:matmul|inner_product|convolution),([^,]+),"


class TorchRunner:
    """Calls a module with keyword inputs under `torch.inference_mode`; waits for CUDA work.

    Args:
        module: any callable module: eager, scripted or compiled.
        device: where inputs go.

    Attributes:
        clock: a `DeviceClock` that marks the start and the end of each call's work on a GPU; None for no marks.
    """

    def __init__(self, module: Any, device: str = "cpu"):
        self.module = module
        self.device = device
        self.clock: Any = None
        parameters = self.module.parameters() if isinstance(module, torch.nn.Module) else ()
        self._float = next((p.dtype for p in parameters if p.is_floating_point()), None)
        self._synchronise = partial(torch.cuda.synchronize, device) if device.startswith("cuda") else None

    def prepare(self, inputs: Arrays) -> dict[str, torch.Tensor]:
        """Images and audio in the dtype of the weights: few models cast them themselves."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
        return {name: tensor.to(self.device, self._float if tensor.is_floating_point() else None)
                for name, tensor in tensors.items()}

    def __call__(self, native: Any) -> Any:
        if self.clock:
            self.clock.start()
        with torch.inference_mode():
            outputs = self._called(native)
        if self.clock:
            self.clock.stop()
        if self._synchronise:
            self._synchronise()
        return outputs

    def _called(self, native: Any) -> Any:
        return self.module(**native)

    def arrays(self, outputs: Any) -> dict[str, np.ndarray]:
        return {name: tensor.detach().float().cpu().numpy() for name, tensor in named_tensors(outputs).items()}

    @property
    def threads(self) -> int:
        return torch.get_num_threads()


class Positional(torch.nn.Module):
    """Positional inputs in, a tuple of tensors out, as exporters want them.

    `torch.onnx.export` restores the mode of this wrapper, so it is the wrapper that must be in eval mode.
    """

    def __init__(self, module: torch.nn.Module, names: list[str]):
        super().__init__()
        self.module = module
        self._names = names

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.module(**dict(zip(self._names, tensors, strict=True)))
        return tuple(named_tensors(outputs).values())


def named_tensors(outputs: Any) -> dict[str, torch.Tensor]:
    """The outputs that count, by name and in order, for eager and for every backend: the tensors of a ModelOutput,
    mapping, dataclass, (named) tuple or list, or a bare one. Anything else in it, such as tuples of hidden states,
    caches and None, is left out; only where no tensor stands at the top do those below it count, `outer.inner`.

    Raises:
        TypeError: none of these.
    """
    if isinstance(outputs, torch.Tensor):
        return {"output": outputs}
    if not _is_container(outputs):
        raise TypeError(f"forward returns a {type(outputs).__name__}: return a tensor, or a mapping, dataclass, tuple "
                        "or list of tensors")
    entries = _entries(outputs)
    found = {name: value for name, value in entries.items() if isinstance(value, torch.Tensor)}
    return found or {f"{name}.{inner}": tensor for name, value in entries.items() if _is_container(value)
                     for inner, tensor in named_tensors(value).items()}


def counting(module: torch.nn.Module) -> torch.nn.Module:
    """The module, which from now on returns the outputs that count only, for tracers and exporters: they fail on
    others, or give the names of some to the values of others. Change a copy."""

    def leave_out(_: torch.nn.Module, __: Any, outputs: Any) -> Any:
        plain = type(outputs) is tuple and all(isinstance(value, torch.Tensor) for value in outputs)
        return outputs if isinstance(outputs, torch.Tensor) or plain else named_tensors(outputs)

    module.register_forward_hook(leave_out)
    return module


def _is_container(value: Any) -> bool:
    return isinstance(value, Mapping | tuple | list) or (is_dataclass(value) and not isinstance(value, type))


def _entries(outputs: Any) -> dict[str, Any]:
    if isinstance(outputs, Mapping):
        return {str(name): value for name, value in outputs.items()}
    if is_dataclass(outputs):
        return {field.name: getattr(outputs, field.name) for field in fields(outputs)}
    names = getattr(outputs, "_fields", None) or [f"output_{index}" for index in range(len(outputs))]
    return dict(zip(names, outputs, strict=True))


def exact_float32() -> None:
    """Let float32 be float32: PyTorch rounds the inputs of convolutions on a GPU to TF32 unless told otherwise."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def profiled_operators(runner: TorchRunner, inputs: Arrays) -> collections.Counter:
    """How often each operator ran in one call, by its `aten::…` name (torch.profiler).

    On a GPU its kernels and the calls of CUDA's runtime too, by their own names.

    Raises:
        CannotRun: the profiler sees no work on the GPU, so that nothing can be proven.
    """
    return collections.Counter({event.key: event.count for event in _profiled(runner, inputs)})


def profiled_kernels(runner: TorchRunner, inputs: Arrays) -> collections.Counter:
    """How often each kernel ran on the GPU in one call, by name; empty on the CPU. Raises as `profiled_operators`."""
    return collections.Counter({event.key: event.count for event in _profiled(runner, inputs) if _on_gpu(event)})


def _profiled(runner: TorchRunner, inputs: Arrays) -> list[Any]:
    native = runner.prepare(inputs)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if runner.device != "cpu":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        runner(native)
    events = list(profile.key_averages())
    if runner.device != "cpu" and not any(map(_on_gpu, events)):
        raise CannotRun("torch.profiler sees no kernel on the GPU (CUPTI is missing or not permitted): "
                        "what ran there cannot be proven")
    return events


def _on_gpu(event: Any) -> bool:
    return event.device_type == torch.autograd.DeviceType.CUDA


def onednn_primitives(runner: TorchRunner, inputs: Arrays) -> list[str]:
    """The `onednn_verbose` lines of primitives executed in one call.

    oneDNN prints them to the C stdout, so file descriptor 1 points to a file meanwhile.
    https://uxlfoundation.github.io/oneDNN/dev_guide_verbose.html
    """
    native = runner.prepare(inputs)
    libc = ctypes.CDLL(None)
    sys.stdout.flush()
    with tempfile.TemporaryFile() as log:
        libc.fflush(None)
        saved = os.dup(1)
        os.dup2(log.fileno(), 1)
        try:
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                runner(native)
            libc.fflush(None)
        finally:
            os.dup2(saved, 1)
            os.close(saved)
        log.seek(0)
        lines = log.read().decode(errors="replace").splitlines()
    return [line for line in lines if re.match(r"onednn_verbose.*,exec,", line)]


def bf16_products(primitives: list[str]) -> tuple[int, list[str]]:
    """Number of bf16 matrix products and convolutions among oneDNN's lines, and the kernels that ran them."""
    products = [line for line in primitives
                if re.search(_PRODUCT, line) and re.search(r"src[^ ,]*:bf16", line)]
    kernels = sorted({re.search(_PRODUCT, line)[1] for line in products})
    return len(products), kernels


def bf16_engagement(runner: TorchRunner, inputs: Arrays, layers: int) -> Engagement:
    """Engaged when oneDNN ran bf16 matrix products for most of the `layers` in one call, and did not emulate them.

    Not for all: a single row, such as a pooler's at batch 1, may go to a matrix-vector kernel.

    Args:
        layers: linear products with a weight, and convolutions, that a call has (`products.Products`); 0 where it
            multiplies activations only.
    """
    found, kernels = bf16_products(onednn_primitives(runner, inputs))
    by = ", ".join(kernels) or "no oneDNN kernel"
    native = bf16.unavailable() is None
    how = "" if native or not found else ", emulated"
    return Engagement(native and found > 0 and 2 * found > layers,
                      f"{found} bf16 products for {layers} linear layers by {by}{how}",
                      {"bf16_products": found, "bf16_kernels": kernels, "linear_layers": layers})


def linear_layers(module: torch.nn.Module) -> int:
    """Number of `torch.nn.Linear` (and GPT-2 `Conv1D`) modules, each one matrix product a call at least."""
    return sum(isinstance(m, torch.nn.Linear) or type(m).__name__ == "Conv1D" for m in module.modules())


def held_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of the storages behind tensors, shared ones once; of a tensor made of others, of those."""
    storages: dict[int, int] = {}
    for tensor in tensors:
        if hasattr(tensor, "__tensor_flatten__"):
            inner = [getattr(tensor, name) for name in tensor.__tensor_flatten__()[0]]
            storages |= {id(part): held_bytes([part]) for part in inner}
        else:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
