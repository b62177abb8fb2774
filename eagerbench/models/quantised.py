"""Weights that are quantised already. Every variant here starts from float32, so such a model is refused with its
method's name: in a directory by its files, without torch; in a loaded module by what it is made of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eagerbench.errors import BadInput

if TYPE_CHECKING:
    import torch

# Files that quantisers leave beside a config that says nothing.
_SIDECARS = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ", "hf_quant_config.json": "ModelOpt",
             "quanto_qmap.json": "quanto", "gptqmodel_config.json": "GPTQ"}
# Dtypes of safetensors that hold quantised weights only, packed into words of 16 and 32 bits too.
_NARROW = ("F8", "F4", "I8", "U8", "I4", "U4", "I16", "U16", "I32", "U32")
_WEIGHTS = ("weight", "weight_packed", "weights", "blocks")  # ends of their names
_CONFIG_KEYS = ("quantization_config", "compression_config", "quantization")
# Packages, by the start of a class's module, whose layers have quantised weights.
_PACKAGES = ("bitsandbytes", "auto_gptq", "gptqmodel", "awq", "hqq", "compressed_tensors", "optimum.quanto", "quanto",
             "torchao",
             "aqlm", "eetq", "vptq", "fbgemm_gpu", "torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")


def method_of_config(config: Mapping[str, Any]) -> str | None:
    """The method that a config (or one nested in it) names: `gptq`, `bitsandbytes`, …; None when it names none."""
    for key in _CONFIG_KEYS:
        found = config.get(key)
        found = found.to_dict() if hasattr(found, "to_dict") else found
        if isinstance(found, Mapping):
            return str(found.get("quant_method") or found.get("quant_algo") or _bitsandbytes(found) or "unnamed method")
        if found:
            return str(found)
    nested = (value for value in config.values() if isinstance(value, Mapping))
    return next(filter(None, map(method_of_config, nested)), None)


def _bitsandbytes(found: Mapping[str, Any]) -> str | None:
    return "bitsandbytes" if any(key.startswith(("load_in_", "bnb_")) for key in found) else None


def method_of_files(directory: Path) -> str | None:
    """The method that the files of a directory show: a quantiser's own file, or narrow dtypes in safetensors."""
    for name, method in _SIDECARS.items():
        if (directory / name).is_file():
            return method
    for file in sorted(directory.glob("*.safetensors")):
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        for name, tensor in header.items():
            dtype = str(tensor.get("dtype", "")) if name.endswith(_WEIGHTS) else ""
            if dtype.startswith(_NARROW):
                return f"{name} is {dtype}"
    return None


def method_of_module(module: "torch.nn.Module") -> str | None:
    """The method of a module with quantised layers or parameters, with the first of them; None for any other."""
    config = getattr(module, "config", None)
    config = config.to_dict() if hasattr(config, "to_dict") else config
    named = method_of_config(config) if isinstance(config, Mapping) else None
    if named:
        return named
    for name, part in module.named_modules():
        package = type(part).__module__
        if any(package == known or package.startswith(f"{known}.") for known in _PACKAGES):
            return f"{name or 'the module'} is a {package.partition('.')[0]} {type(part).__name__}"
    buffers = [(name, buffer) for name, buffer in module.named_buffers()
               if name.endswith(_WEIGHTS) or str(buffer.dtype).startswith("torch.float8")]
    for name, parameter in [*module.named_parameters(), *buffers]:
        package = type(parameter.data).__module__
        dtype = str(parameter.dtype).removeprefix("torch.")
        if package.startswith(("torchao", "optimum.quanto")):
            return f"{name} is a {package.partition('.')[0]} {type(parameter.data).__name__}"
        if dtype.startswith(("float8", "float4", "int", "uint", "qint", "quint")):
            return f"{name} is {dtype}"
    return None


def refuse(model: str, method: str | None) -> None:
    """
    Raises:
        BadInput: a method was found.
    """
    if method:
        raise BadInput(f"--model {model}: its weights are already quantised ({method}); every variant starts from "
                       "float weights: give the model that it was made from; --variant '*int8*' and 'bnb-*' quantise")
