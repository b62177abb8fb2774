"""`torch.ao.quantization.quantize_dynamic` on a whole model, and the evidence that its int8 kernels run."""

import contextlib
import copy
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from eagerbench.backends.base import Arrays, Engagement
from eagerbench.backends.products import products
from eagerbench.backends.torch_runner import TorchRunner, onednn_primitives, profiled_operators
from eagerbench.errors import Refused

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

ENGINE = "onednn"


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """oneDNN packs the weights that are quantised or loaded meanwhile; each packed weight keeps its engine.

    PyTorch's default on x86 is FBGEMM (`x86`): the same numbers, a third slower on MiniLM.

    Raises:
        Refused: this build of PyTorch has no such engine.
    """
    engines = torch.backends.quantized.supported_engines
    if ENGINE not in engines:
        raise Refused(f"this PyTorch has no {ENGINE} engine (it has {', '.join(engines)})")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = ENGINE
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def quantise(module: torch.nn.Module) -> torch.nn.Module:
    """int8 weights, in place, with one scale a row, activations quantised at each call with one scale a tensor.

    Activations have 7 bits of range.
    One scale a weight has more error on MiniLM: 0.37 of the output against 0.26, at the same speed.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.ao.quantization.quantize_dynamic.html

    Raises:
        ValueError: layers would stay in float32.
    """
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    require_linears_only(module, "quantize_dynamic")
    with engine(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.ao.quantization and quantised tensors are deprecated
        # A configuration of its own: quantize_dynamic marks the one it is given as used.
        places = _linears_by_identity(module)
        quantised = quantize_dynamic(module, {torch.nn.Linear: copy.deepcopy(per_channel_dynamic_qconfig)},
                                     dtype=torch.qint8, inplace=True)
        for shared in places:  # it replaces a layer in the first of its places only
            for name in shared[1:]:
                owner, _, leaf = name.rpartition(".")
                setattr(quantised.get_submodule(owner), leaf, quantised.get_submodule(shared[0]))
        return quantised


def _linears_by_identity(module: torch.nn.Module) -> list[list[str]]:
    """For each linear layer all names under which the module has it."""
    places: dict[int, list[str]] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        if type(part) is torch.nn.Linear:
            places.setdefault(id(part), []).append(name)
    return list(places.values())


def require_linears_only(module: torch.nn.Module, by: str) -> None:
    """Raise ValueError when a layer of the module would stay in float32, or when it has none to quantise."""
    left = sorted({type(m).__name__ for m in module.modules() if _stays_float(m)})
    if left:
        raise Refused(f"{by} leaves the {' and '.join(left)} layers of {type(module).__name__} in float32: "
                      "it replaces torch.nn.Linear only")
    if not any(type(m) is torch.nn.Linear for m in module.modules()):
        raise Refused(f"{type(module).__name__} has no torch.nn.Linear to quantise")


def require_weights_in_linears(model: "LoadedModel", example: Arrays, by: str) -> None:
    """Raise ValueError when a call of the reference multiplies with a weight outside of a `torch.nn.Linear`."""
    module, inside = model.fresh(), []
    runner = TorchRunner(module, model.device)
    native = runner.prepare(example)
    hooks = [part.register_forward_pre_hook(lambda part, _: inside.append(part))
             for part in module.modules() if type(part) is torch.nn.Linear]
    try:
        found = products(module, lambda: runner(native))
    finally:
        for hook in hooks:
            hook.remove()
    outside = found.weighted - len(inside)
    if outside > 0:
        raise Refused(f"{by} leaves {outside} matrix products of {type(model.module).__name__} in float32: their "
                      "weights are in no torch.nn.Linear")


def _stays_float(part: torch.nn.Module) -> bool:
    """Whether a module holds a matrix product that is not quantised."""
    subclass_of_linear = isinstance(part, torch.nn.Linear) and type(part) is not torch.nn.Linear
    return subclass_of_linear or isinstance(part, torch.nn.MultiheadAttention) or type(part).__name__ == "Conv1D"


def int8_engagement(runner: TorchRunner, inputs: Arrays, layers: int) -> Engagement:
    """Engaged when oneDNN ran an int8 product for each of the `layers` quantised layers that a call needs, and none ran
    in float32."""
    operators = profiled_operators(runner, inputs)
    products = [line for line in onednn_primitives(runner, inputs) if re.search(r",matmul,.*src[^ ,]*:u8", line)]
    facts = {"quantised_layers": layers, "int8_products": operators["quantized::linear_dynamic"],
             "onednn_int8_products": len(products),
             "int8_kernels": sorted({line.split(",matmul,")[1].split(",")[0] for line in products}),
             "float_products": operators["aten::linear"]}
    engaged = 0 < layers <= min(facts["int8_products"], len(products)) and not facts["float_products"]
    by = ", ".join(facts["int8_kernels"]) or "no oneDNN kernel"
    return Engagement(engaged, f"{len(products)} int8 products for {layers} quantised layers by {by}, "
                               f"{facts['float_products']} in float32", facts)


def packed_bytes(module: torch.nn.Module) -> int:
    """Bytes of the weights that quantised layers have packed, with scales, zero points (8 bytes each) and biases."""
    from torch.ao.nn.quantized.dynamic import Linear

    packed = [part for part in module.modules() if isinstance(part, Linear)]
    return sum(part.weight().numel() + part.out_features * (16 if part.bias() is None else 20) for part in packed)
