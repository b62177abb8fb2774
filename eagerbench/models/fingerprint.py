"""What determines a model, in three digests: its weights, its code and its configuration.

Kept apart, because a comparison of two commits means another thing by each: other weights are another benchmark, other
code with the same weights is what a model team wants judged.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from eagerbench.models import sources
from eagerbench.models.state import persistent_buffers

# Where a model was found and which release saved it: no part of what it computes.
_NOT_CONFIGURATION = ("_name_or_path", "name_or_path", "_commit_hash", "transformers_version")
_INTERNALS = frozenset(vars(torch.nn.Module())) | {"training", "_is_hf_initialized", *_NOT_CONFIGURATION}
_PLAIN = (str, int, float, complex, bytes, type(None), torch.dtype, torch.device)


@dataclass(frozen=True)
class Fingerprint:
    """SHA-256 digests, as hexadecimal text.

    Attributes:
        weights: every tensor of the state dict by dtype, shape and bytes, whatever it is called: a layer that is
            renamed in the code is no change of weights.
        code: classes, layer names and source of all submodules, and of what that source imports (`sources`).
        config: the configuration, and plain attributes of the submodules (a number of heads, say). Buffers that code
            makes of them are left out: a call may fill them (caches of rotary embeddings).
    """

    weights: str
    code: str
    config: str

    @cached_property
    def whole(self) -> str:
        """Over all three: what an artifact made from the model depends on."""
        return hashlib.sha256(f"{self.weights} {self.code} {self.config}".encode()).hexdigest()


def of(module: torch.nn.Module, factory: str | None = None, weights_beside: str = "") -> Fingerprint:
    """The fingerprint of a module as it is now.

    Args:
        factory: `package.module:function` that made it; its source counts as code.
        weights_beside: digest of weights that belong to the model and are in no module (a dense layer after pooling).
    """
    own = weights(module.state_dict())
    return Fingerprint(_digest([own, weights_beside]) if weights_beside else own, code(module, factory), config(module))


def weights(state_dict: Mapping[str, Any]) -> str:
    """SHA-256 over the content of a state dict; tied tensors count once."""
    return _digest(sorted({_of_value(value) for value in state_dict.values()}))


def code(module: torch.nn.Module, factory: str | None = None) -> str:
    """SHA-256 over the structure of a module and the source that it runs."""
    structure = [f"{name} {type(part).__module__}.{type(part).__qualname__}" for name, part in module.named_modules()]
    tensors = [f"{name} {getattr(value, 'dtype', '')} {tuple(getattr(value, 'shape', ()))}"
               for name, value in module.state_dict().items()]
    return _digest([*structure, *tensors, *sources.digests(module, factory)])


def config(module: torch.nn.Module) -> str:
    """SHA-256 over the configuration and the plain attributes of a module."""
    own = getattr(module, "config", None)
    described = own.to_dict() if hasattr(own, "to_dict") else {}
    described = {name: value for name, value in described.items() if name not in _NOT_CONFIGURATION}
    attributes = [str(sorted((key, repr(_sorted(value))) for key, value in _plain_attributes(part)))
                  for part in module.modules()]  # without the layers' names, which are code
    return _digest([json.dumps(described, sort_keys=True, default=_type_name), *attributes])


def derived(module: torch.nn.Module) -> str:
    """SHA-256 over the buffers that are not in the state dict: code makes them, and calls may fill them."""
    saved = {name for name, _ in persistent_buffers(module)}
    return _digest([f"{name} {_of_value(buffer)}" for name, buffer in module.named_buffers() if name not in saved])


def _plain_attributes(part: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in vars(part).items() if key not in _INTERNALS and _is_plain(value))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(one) for key, one in value.items())
    return isinstance(value, _PLAIN)


def _sorted(value: Any) -> Any:
    """Sets in an order that no hash seed changes."""
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else value


def _of_value(value: Any) -> str:
    """Of a tensor, or of what `get_extra_state` gave."""
    digest = hashlib.sha256()
    if not isinstance(value, torch.Tensor):
        digest.update(json.dumps(value, sort_keys=True, default=_type_name).encode())
        return digest.hexdigest()
    digest.update(f"{tuple(value.shape)} {value.dtype}".encode())
    if value.layout is torch.strided and not value.is_quantized:
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    else:  # sparse or quantised: no plain bytes to look at
        buffer = io.BytesIO()
        torch.save(value.detach().cpu(), buffer)
        digest.update(buffer.getbuffer())
    return digest.hexdigest()


def _type_name(value: Any) -> str:
    """Of what is no JSON: its text may hold an address."""
    return str(value) if isinstance(value, _PLAIN) else f"{type(value).__module__}.{type(value).__qualname__}"


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()
