"""What bitsandbytes makes of a model: loading, its layers by kind, their bytes, and the kernels that ran."""

import collections
import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import bitsandbytes
import torch
import transformers
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from eagerbench.backends.base import Arrays, Placement
from eagerbench.backends.placed_pretrained import from_pretrained, require_pretrained_class
from eagerbench.backends.torch_runner import TorchRunner, held_bytes, profiled_operators
from eagerbench.errors import Refused

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

# By bits: operators that multiply with quantised weights. Which one depends on the processor and the batch.
PRODUCTS = {4: ("gemm_4bit", "gemv_4bit"), 8: ("int8_linear_matmul",)}
# A GPU widens 4-bit weights for more than one token, and multiplies by cuBLAS.
PRODUCTS_ON_GPU = {4: (*PRODUCTS[4], "dequantize_4bit"), 8: PRODUCTS[8]}
_BLOCK, _REPACKED_OUTPUTS = 64, 32


def load_quantised(model: "LoadedModel", example: Arrays, placement: Placement, bits: int, format: str,
                   double: bool) -> TorchRunner:
    """The model loaded again with quantised linear layers, called once.

    The first call repacks 4-bit weights on processors with AVX512-BF16, for good: what cannot be repacked fails here.
    Nothing of ours saves a quantised model after that (bitsandbytes 0.50.2 then writes wrong scales).
    """
    runner = TorchRunner(quantised_module(model, placement, bits, format, double), placement.device)
    runner.float32_bytes = footprint_bytes(model.module)
    runner(runner.prepare(example))
    return runner


def load_checkpoint(directory: Path, placement: Placement) -> TorchRunner:
    """A model that `save_pretrained` has written quantised, as its users load it; not called yet."""
    _quieten()
    transformers.utils.logging.disable_progress_bar()
    config = transformers.AutoConfig.from_pretrained(directory, local_files_only=True)
    kind = getattr(transformers, config.architectures[0])
    config.use_cache = False
    module = kind.from_pretrained(
        directory, config=config, dtype=torch.float32, local_files_only=True,
        attn_implementation="sdpa" if kind._supports_sdpa else "eager", device_map={"": placement.device}).eval()
    return TorchRunner(module, placement.device)


def quantised_module(model: "LoadedModel", placement: Placement, bits: int, format: str,
                     double: bool) -> torch.nn.Module:
    """The model loaded again with quantised linear layers, not called yet.

    Raises:
        ValueError: no transformers model, no linear layer to quantise, or limits that the model does not fit into.
    """
    require_pretrained_class(model)
    _quieten()
    how = ({"load_in_8bit": True} if bits == 8 else
           {"load_in_4bit": True, "bnb_4bit_quant_type": format, "bnb_4bit_use_double_quant": double})
    skipped = head_layers(model.module) + ([] if bits == 8 else unpackable_layers(model.module))
    config = BitsAndBytesConfig(**how, llm_int8_skip_modules=skipped)
    weights = copy.deepcopy(model.module.state_dict())  # layers that stay unquantised keep the tensor they are given
    try:
        module = from_pretrained(model, placement, state_dict=weights, quantization_config=config)
    except ValueError as error:
        if "dispatched on the CPU or the disk" not in str(error):
            raise
        raise Refused("the quantised model does not fit into --max-memory, and bitsandbytes keeps no layer on disk "
                      "or beside a GPU on the CPU") from error
    if not quantised_layers(module):
        raise Refused(f"{type(module).__name__} has no linear layer that bitsandbytes quantises")
    return module


def _quieten() -> None:
    """ "inputs will be cast from torch.float32 to float16", at every layer and call."""
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


def head_layers(module: torch.nn.Module) -> list[str]:
    """Names of the linear layers outside the base model. They stay in float32, as transformers means the last layer to.

    Left to itself it skips tied heads and heads without a bias only; the AVX512-BF16 kernels take no 2 labels.
    """
    body = set(module.base_model.modules())
    return [name for name, part in module.named_modules() if isinstance(part, torch.nn.Linear) and part not in body]


def unpackable_layers(module: torch.nn.Module) -> list[str]:
    """Names of the layers that bitsandbytes cannot repack for AVX512-BF16 (`_convert_weight_packed_for_cpu`): it takes
    rows of whole blocks of 64 and multiples of 32 outputs. They stay in float32 on every processor, for one model."""
    found = []
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Linear):
            outputs, inputs = part.weight.shape
        elif isinstance(part, Conv1D):
            inputs, outputs = part.weight.shape
        else:
            continue
        if inputs % _BLOCK or outputs % _REPACKED_OUTPUTS:
            found.append(name)
    return found


def kind(bits: int, format: str, double: bool) -> str:
    return f"{format}-double" if double else format


def is_quantised(part: torch.nn.Module) -> bool:
    """Whether a module is a layer that holds quantised weights."""
    return ((isinstance(part, bitsandbytes.nn.Linear4bit) and part.weight.dtype == torch.uint8)
            or (isinstance(part, bitsandbytes.nn.Linear8bitLt) and part.weight.dtype == torch.int8))


def quantised_layers(module: torch.nn.Module) -> collections.Counter:
    """Number of quantised layers by kind: `fp4`, `nf4`, `nf4-double`, `int8`."""
    found = collections.Counter()
    for part in filter(is_quantised, module.modules()):
        if isinstance(part, bitsandbytes.nn.Linear4bit):
            state = part.weight.quant_state
            # Repacking for AVX512-BF16 expands the quantised scales and notes what they were.
            found[kind(4, state.quant_type, getattr(state, "original_nested", state.nested))] += 1
        else:
            found["int8"] += 1
    return found


def kernels(runner: TorchRunner, inputs: Arrays) -> dict[str, int]:
    """bitsandbytes' operators that ran in one call, without their namespace, with counts."""
    return {name.removeprefix("bitsandbytes::"): count for name, count in profiled_operators(runner, inputs).items()
            if name.startswith("bitsandbytes::")}


def footprint_bytes(module: torch.nn.Module) -> int:
    """Bytes of parameters, buffers and quantisation state (scales, their scales, offsets, codes), shared ones once."""
    return held_bytes(_tensors(module))


def _tensors(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()
    for part in module.modules():
        if isinstance(part, bitsandbytes.nn.Linear4bit):
            yield from _held(part.weight.quant_state)
        elif isinstance(part, bitsandbytes.nn.Linear8bitLt):
            yield from (*_held(part.weight), *_held(part.state))  # the scales move from the one to the other


def _held(owner: object) -> Iterator[torch.Tensor]:
    for value in vars(owner).values():
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, bitsandbytes.functional.QuantState):
            yield from _held(value)
