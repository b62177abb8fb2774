"""Depth pruning: a model that keeps only its first encoder layers. It is another model, with its own reference."""

from collections.abc import Iterator

import torch

from eagerbench.errors import BadInput
from eagerbench.models.catalog import DEPTHS


def keep_layers(module: torch.nn.Module, count: int, name: str) -> None:
    """Drop all encoder layers behind the first `count`, in place.

    Keeping the lowest layers is the "top-layer dropping" of Sajjad et al., "On the effect of dropping layers of
    pre-trained transformer models" (2023), the simplest of their strategies and the best or close to it.

    Raises:
        BadInput: no single stack of layers, or not more than `count` of them.
    """
    stacks = list(_stacks(module))
    if len(stacks) != 1:
        raise BadInput(f"{name}: {len(stacks)} stacks of layers in {type(module).__name__}; layers=N needs exactly one")
    parent, attribute, stack = stacks[0]
    if count >= len(stack):
        raise BadInput(f"{name}: the model has {len(stack)} layers; layers=N keeps 1 to {len(stack) - 1}")
    config = getattr(module, "config", None)
    for key in DEPTHS:
        if getattr(config, key, None) == len(stack):
            setattr(config, key, count)
    if isinstance(getattr(config, "layer_types", None), list):
        config.layer_types = config.layer_types[:count]
    setattr(parent, attribute, stack[:count])


def _stacks(module: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, torch.nn.ModuleList]]:
    """Lists of at least two modules of one class that no other such list contains."""
    for attribute, child in module.named_children():
        kinds = {type(part) for part in child} if isinstance(child, torch.nn.ModuleList) else set()
        if len(kinds) == 1 and len(child) > 1:
            yield module, attribute, child
        else:
            yield from _stacks(child)
