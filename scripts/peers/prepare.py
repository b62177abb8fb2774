"""What all sides are called with, made by eagerbench: directories of models, its own artifacts, inputs and texts."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import transformers

from eagerbench import backends
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Placement
from eagerbench.backends.building import build
from eagerbench.models import specs
from eagerbench.models.catalog import CATALOG
from eagerbench.models.loading import LoadedModel, load
from eagerbench.workloads import export_example, workload

EXPORTED, EXPORTED_INT8 = ("openvino", "onnxruntime"), ("openvino-int8", "onnxruntime-int8")
_MINILM_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


@dataclass(frozen=True)
class Files:
    """Of one model: paths, as text.

    Attributes:
        name: what `--model` gets.
        directory: with config, weights and tokenizer.
        artifacts: of each variant, its main file.
        inputs: of each shape (`8x128`) arrays as `.npz`; beside it one `.npy` an input, in a directory of its name.
        texts: of each shape, a line a text.
        ctranslate2: converted by CTranslate2, or empty with the reason in `ctranslate2_error`.
    """

    name: str
    directory: str
    artifacts: dict[str, str]
    inputs: dict[str, str]
    texts: dict[str, str]
    ctranslate2: str = ""
    ctranslate2_error: str = ""


def prepare(name: str, shapes: list[tuple[int, int]], threads: int, scratch: Path, artifacts: Path,
            converter: Path, every: bool) -> Files:
    """
    Args:
        name: `minilm`, or a catalog model, which becomes a directory of its encoder with MiniLM's tokenizer.
        artifacts: as `--artifacts` of the sessions.
        converter: `ct2-transformers-converter`.
        every: whether int8 is exported too.
    """
    directory, named = _directory(name, scratch)
    torch.set_num_threads(threads)
    model = load(specs.resolve(named, 0))
    store, placement = ArtifactStore(artifacts / "variants"), Placement("cpu", threads)
    files = {}
    for variant in (*EXPORTED, *(EXPORTED_INT8 if every else ())):
        built = build(variant, model, export_example(model.spec).inputs(model), placement, store)
        found, backend = backends.variants()[variant]
        files[variant] = str(built.directory / backend.opened_by(found, placement).file)
    inputs, texts = {}, {}
    for batch, length in shapes:
        place = scratch / f"{name}-{batch}x{length}"
        inputs[f"{batch}x{length}"], texts[f"{batch}x{length}"] = _inputs(model, batch, length, place)
    converted, error = _converted(converter, directory, scratch / f"{name}-ctranslate2")
    return Files(named, str(directory), files, inputs, texts, converted, error)


def _directory(name: str, scratch: Path) -> tuple[Path, str]:
    """Where a model is, and what `--model` calls it."""
    minilm = Path(specs.resolve("minilm", 0).root or specs.resolve("minilm", 0).target)
    if name == "minilm":
        return minilm, "minilm"
    directory, entry = scratch / name, CATALOG[name]
    if not (directory / "config.json").exists():
        torch.manual_seed(0)
        config = getattr(transformers, entry.config_class)(**entry.config)
        transformers.AutoModel.from_config(config).save_pretrained(directory)
        for file in _MINILM_FILES:  # the vocabulary of bert-base-uncased
            shutil.copy(minilm / file, directory / file)
    return directory, str(directory)


def _inputs(model: LoadedModel, batch: int, length: int, place: Path) -> tuple[str, str]:
    """The batch of the latency experiment, and texts that make its tokens."""
    place.mkdir(exist_ok=True)
    arrays = workload(model.spec, batch, length).inputs(model)
    np.savez(place.with_suffix(".npz"), **arrays)
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    rows = [ids[mask.astype(bool)] for ids, mask in zip(arrays["input_ids"], arrays["attention_mask"], strict=True)]
    texts = [" ".join(model.tokenizer.decode(row, skip_special_tokens=True).split()) for row in rows]
    file = place.with_suffix(".txt")
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return str(place.with_suffix(".npz")), str(file)


def _converted(converter: Path, directory: Path, output: Path) -> tuple[str, str]:
    """CTranslate2's form of a model, or why there is none."""
    if output.exists():
        return str(output), ""
    if not converter.exists():
        return "", f"{converter.parents[1].name} is missing: run make env-peers"
    ended = subprocess.run([converter, "--model", directory, "--output_dir", output], capture_output=True, text=True,
                           check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    return (str(output), "") if ended.returncode == 0 else ("", lines[-1] if lines else f"exit {ended.returncode}")


def main() -> None:
    """Of a JSON object of the arguments, print what was made as JSON."""
    asked = json.loads(sys.argv[1])
    shapes = [tuple(shape) for shape in asked["shapes"]]
    found = prepare(asked["name"], shapes, asked["threads"], Path(asked["scratch"]), Path(asked["artifacts"]),
                    Path(asked["converter"]), asked["every"])
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
