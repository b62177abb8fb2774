"""`from_pretrained` with a device map: what the backends that go through accelerate share."""

import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import transformers

from eagerbench.backends.base import Placement
from eagerbench.errors import Refused

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


def from_pretrained(model: "LoadedModel", placement: Placement, **source: Any) -> torch.nn.Module:
    """The model loaded once more by its own class, spread over the devices that the placement allows.

    Args:
        source: where the weights are and how they are read, as `PreTrainedModel.from_pretrained` takes it.

    Raises:
        ValueError: limits for a GPU that is not there, or modules on a GPU that
            `--device` does not name.
    """
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("accelerate.big_modeling").setLevel(logging.ERROR)  # "some parameters are on the meta device"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        placed = type(model.module).from_pretrained(
            source.pop("directory", None), config=model.config, dtype=torch.float32,
            attn_implementation="sdpa" if model.module._supports_sdpa else "eager", **_map(placement), **source).eval()
    used = {str(device) for device in devices(placed).values()}
    if placement.device == "cpu" and used - {"cpu", "disk"}:
        raise Refused(f"the device map uses {', '.join(sorted(used))}: add --device cuda, or limit it to the CPU, "
                      "such as --max-memory cpu=8GB")
    return placed


def require_pretrained_class(model: "LoadedModel") -> None:
    """Raise ValueError when the model is not a transformers model."""
    if not isinstance(model.module, transformers.PreTrainedModel):
        raise Refused(f"{type(model.module).__name__} is not a transformers model: from_pretrained cannot load it")


def devices(placed: torch.nn.Module) -> Mapping[str, Any]:
    """Module name to device (`cpu`, `disk` or a GPU's index), as accelerate placed them."""
    # transformers leaves the map out when one device holds all.
    return getattr(placed, "hf_device_map", None) or {"": next(placed.parameters()).device}


def home(parameter: str, placed: Mapping[str, Any]) -> str:
    """Where a parameter waits that is on the meta device: `cpu` beside a GPU, or `disk`."""
    module = max((name for name in placed if not name or parameter == name or parameter.startswith(f"{name}.")),
                 key=len, default=None)
    return "disk" if module is None else str(placed[module])


def _map(placement: Placement) -> dict[str, Any]:
    """The arguments for from_pretrained; everything on `placement.device` without a map."""
    if placement.device_map is None:
        return {"device_map": {"": placement.device}}
    gpus = torch.cuda.device_count()
    absent = [name for name, _ in placement.max_memory if name != "cpu" and int(name) >= gpus]
    if absent:
        raise Refused(f"--max-memory {absent[0]}=…: torch sees {gpus} GPUs here")
    limits = {name if name == "cpu" else int(name): size for name, size in placement.max_memory}
    return {"device_map": placement.device_map, "max_memory": limits or None}
