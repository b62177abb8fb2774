"""Runners for what only a GPU has: chosen attention kernels, TF32 products, CUDA graphs."""

import functools
import re
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from eagerbench.backends.base import Arrays, Variant
from eagerbench.backends.generating import with_forward
from eagerbench.backends.torch_runner import TorchRunner
from eagerbench.errors import Refused

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

_FINE = 1 + 2**-12  # exact in float32, 1 in TF32


class SettingsRunner(TorchRunner):
    """Calls a module with one kind of attention kernel allowed, and TF32 products on or off.

    Args:
        kernel: `flash` or `efficient`, or None for PyTorch's own choice.
        tf32: let float32 products and convolutions round their inputs to TF32 (10 bits of mantissa).
    """

    def __init__(self, module: torch.nn.Module, device: str, kernel: str | None = None, tf32: bool = False):
        super().__init__(module, device)
        self._kernel = kernel
        self._tf32 = tf32

    def _called(self, native):
        with self._settings():
            return super()._called(native)

    def generating(self) -> torch.nn.Module:
        """The transformers module whose `generate()` calls with the settings."""
        original = self.module.forward

        @functools.wraps(original)
        def forward(*arguments, **keywords):
            with self._settings():
                return original(*arguments, **keywords)

        return with_forward(self.module, forward)

    def rounds_to_tf32(self) -> bool:
        """Whether a float32 product loses what TF32 cannot hold, under the settings."""
        fine = torch.full((256, 256), _FINE, device=self.device)
        with self._settings(), torch.inference_mode():
            product = fine @ torch.ones_like(fine)
        return bool((product == 256).all())

    def _settings(self) -> ExitStack:
        settings = ExitStack()
        if self._kernel:
            settings.enter_context(sdpa_kernel(getattr(SDPBackend, f"{self._kernel.upper()}_ATTENTION")))
        if self._tf32:
            settings.callback(_allow_tf32, torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
            _allow_tf32("high", True)
        return settings


class GraphRunner(TorchRunner):
    """Replays a CUDA graph of one call. A call copies its inputs into the graph's, as users of graphs do.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self, module: torch.nn.Module, device: str, example: Arrays):
        super().__init__(module, device)
        self._inputs = self.prepare(example)
        with torch.cuda.device(device), torch.inference_mode():  # a graph is captured on the current device
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    module(**self._inputs)
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._outputs = module(**self._inputs)

    def _called(self, native):
        for name, tensor in native.items():
            self._inputs[name].copy_(tensor)
        self._graph.replay()
        return self._outputs


def module_of(variant: Variant, model: "LoadedModel") -> torch.nn.Module:
    """A copy of the model with the variant's attention and dtype of weights.

    Raises:
        ValueError: the model has no SDPA attention.
    """
    attention = variant.options["attention"]
    if attention == "sdpa" and not getattr(model.module, "_supports_sdpa", False):
        raise Refused(f"{type(model.module).__name__} has no SDPA attention to choose")
    return model.copy(attention, "float32" if variant.dtype == "tf32" else variant.dtype)


def weights_of(module: torch.nn.Module) -> str:
    """Dtypes of the parameters, `float16` or `float16/float32`."""
    return "/".join(sorted({str(p.dtype).removeprefix("torch.") for p in module.parameters()}))


def called_once(runner: SettingsRunner, example: Arrays) -> SettingsRunner:
    """The runner after one call.

    Raises:
        ValueError: no kernel takes this batch, with PyTorch's own reasons (it gives them as warnings).
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            runner(runner.prepare(example))
        except RuntimeError as error:
            said = [" ".join(str(one.message).partition("(Triggered")[0].split()) for one in caught]
            said = [line for line in said if re.search("kernel|attention", line, re.IGNORECASE)]
            if not said:
                raise
            raise Refused(f"no attention kernel of this kind accepts this batch: {'; '.join(said)}") from error
    return runner


def _allow_tf32(products: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
