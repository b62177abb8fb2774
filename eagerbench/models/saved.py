"""A model's weights on disk, as the users of a process of its own load them."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers

from eagerbench.errors import CannotRun, first_line
from eagerbench.models.classes import is_pretrained
from eagerbench.models.loading import LoadedModel, with_attention
from eagerbench.models.specs import ModelSpec

if TYPE_CHECKING:
    from eagerbench.backends.artifacts import ArtifactStore

_STATE_DICT = "state_dict.pt"


@dataclass(frozen=True)
class Saved:
    """Weights in a directory of `save_pretrained`.

    Attributes:
        spec: what loads them; the model's own spec where transformers does not know its class (a factory's module).
        save_s: seconds to save them; None when nothing was saved.
        bytes: of the directory; None when nothing was saved.
    """

    spec: ModelSpec
    save_s: float | None
    bytes: int | None


def saved(model: LoadedModel, store: "ArtifactStore") -> Saved:
    """Save a model as safetensors, once for a store.

    Raises:
        CannotRun: transformers does not save it.
    """
    if not _known(model.module):
        return Saved(model.spec, None, None)

    def write(directory: Path) -> dict[str, float]:
        transformers.utils.logging.disable_progress_bar()
        start = time.perf_counter()
        model.module.save_pretrained(directory)
        return {"save_s": time.perf_counter() - start}

    named = model.module.config.architectures
    key = {"model": model.fingerprint, "format": "safetensors", "transformers": transformers.__version__}
    try:
        artifact = store.get(f"{model.spec.name}-weights", key, write)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:  # a generation config that is not valid, …
        raise CannotRun(f"its weights cannot be saved: {first_line(error)}") from error
    finally:
        model.module.config.architectures = named  # transformers puts its own class there: an unknown head's name goes
    spec = replace(model.spec, kind="directory", target=str(artifact.directory), layers=None, head=None)
    return Saved(spec, artifact.facts["save_s"], artifact.bytes)


def save_state_dict(model: LoadedModel, directory: Path) -> tuple[Path, float]:
    """Pickle the weights by `torch.save`; the file, and the seconds it took."""
    file = directory / _STATE_DICT
    start = time.perf_counter()
    torch.save(model.module.state_dict(), file)
    return file, time.perf_counter() - start


def from_state_dict(spec: ModelSpec, file: Path, device: str) -> LoadedModel:
    """The usual way to load them: a module with random weights, which `load_state_dict` replaces.

    Args:
        spec: of `Saved`, whose directory has the config.
    """
    config = transformers.AutoConfig.from_pretrained(spec.target, local_files_only=True)
    module = with_attention(getattr(transformers, config.architectures[0])(config), "eager")
    module.load_state_dict(torch.load(file, weights_only=True))
    module.config.use_cache = False
    return LoadedModel(spec, module.to(device).eval().requires_grad_(False), None, False, single_use=True)


def _known(module: torch.nn.Module) -> bool:
    return (is_pretrained(module)
            and getattr(transformers, type(module).__name__, None) is type(module))
