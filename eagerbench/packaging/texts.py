"""Texts: the tokenizer as a file that needs no transformers, and what makes an embedding of the states of tokens."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.errors import CannotRun
from eagerbench.models import sentence_layers
from eagerbench.models.sentence import Pipeline
from eagerbench.packaging.manifest import Pooling, TextInput
from eagerbench.workloads import vocabulary
from eagerbench.workloads.padded_batch import length_limit
from eagerbench.workloads.sentences import SENTENCES

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

TOKENIZER = "tokenizer.json"
ARRAYS_INSTEAD = "add --inputs arrays for a package whose load.py takes prepared arrays"


def write_tokenizer(model: "LoadedModel", directory: Path, pairs: bool) -> TextInput:
    """Write `tokenizer.json` with padding and truncation in it.

    Raises:
        CannotRun: transformers has no fast form of this tokenizer, or that form gives other tokens.
    """
    theirs, limit = model.tokenizer, length_limit(model)
    backend = getattr(theirs, "backend_tokenizer", None)
    if backend is None:
        raise CannotRun(f"{type(theirs).__name__} is written in Python and has no tokenizer.json: {ARRAYS_INSTEAD}")
    made = type(backend).from_str(backend.to_str())
    made.enable_truncation(limit, strategy="only_second" if pairs else "longest_first",
                           direction=theirs.truncation_side)
    number = vocabulary.pad_id(model)
    made.enable_padding(direction=theirs.padding_side, pad_id=number, pad_type_id=theirs.pad_token_type_id,
                        pad_token=made.id_to_token(number) or "")
    pipeline = model.sentence if model.sentence.declared else Pipeline()
    made.save(str(directory / TOKENIZER))
    _require_same(model, made, pipeline, limit, pairs)
    return TextInput(prompt=pipeline.prompt, prompts=dict(pipeline.roles), lower_case=pipeline.lower_case,
                     max_length=limit)


def _require_same(model: "LoadedModel", made: Any, pipeline: Pipeline, limit: int, pairs: bool) -> None:
    """Raise CannotRun where the written tokenizer's ids are not those of the tokenizer that was measured."""
    texts = [*SENTENCES[:8], " ".join(SENTENCES), "naïve Œuvre – 東京 🙂", *([] if pairs else [""])]
    for text in texts:
        given = (SENTENCES[0], text) if pairs else (pipeline.prepared(text),)
        how = {"truncation": "only_second" if pairs else True, "max_length": limit}
        wanted = model.tokenizer(*given, **how)["input_ids"]
        row = made.encode(*given)
        got = [number for number, real in zip(row.ids, row.attention_mask, strict=True) if real]
        if got != wanted:
            raise CannotRun(f"{TOKENIZER} gives other tokens than {type(model.tokenizer).__name__} for {text[:30]!r}: "
                            f"{ARRAYS_INSTEAD}")


def given_texts(pairs: bool) -> list[str]:
    """What is shipped to be checked: texts of different lengths; for a question answerer, questions and contexts."""
    if not pairs:
        return list(SENTENCES[:4])
    return ["When does the contract end?", SENTENCES[24], "What lends the library?", SENTENCES[28]]


def tokenised(model: "LoadedModel", given: Sequence[str], pairs: bool) -> dict[str, np.ndarray]:
    """The same texts as the suite's users have them: by transformers."""
    pipeline = model.sentence if model.sentence.declared else Pipeline()
    texts = [given[::2], given[1::2]] if pairs else [[pipeline.prepared(text) for text in given]]
    how = {"truncation": "only_second" if pairs else True, "max_length": length_limit(model), "padding": True}
    tokenizer = copy.copy(model.tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(vocabulary.pad_id(model))
    rows = tokenizer(*map(list, texts), return_token_type_ids=True, return_attention_mask=True, **how)
    return {name: np.asarray(rows[name], np.int64) for name in model.input_names}


def write_pooling(model: "LoadedModel", states: str, directory: Path) -> Pooling:
    """Write the weights of the layers that follow pooling."""
    pipeline, steps = model.sentence, []
    for place, (_, step) in enumerate(pipeline.steps):
        steps.append(_written(step, f"pooling/{place}", directory))
    return Pooling(states=states, modes=list(pipeline.modes), steps=steps,
                   skipped_tokens=pipeline.prompt_tokens(model.tokenizer))


def _written(step: Any, stem: str, directory: Path) -> dict[str, str | int]:
    if step is sentence_layers.normalised:
        return {"kind": "normalised"}
    if isinstance(step, sentence_layers.First):
        return {"kind": "first", "size": step.size}
    dense = isinstance(step, sentence_layers.Dense)
    arrays = {name: getattr(step, name, None) for name in ("weight", "bias", "residual")}
    found: dict[str, str | int] = {"kind": "layer norm"}
    if dense:
        found = {"kind": "dense" if step.residual is None else "dense with residual", "activation": step.activation}
    (directory / "pooling").mkdir(exist_ok=True)
    for name, array in arrays.items():
        if array is not None:
            found[name] = f"{stem}.{name}.npy"
            np.save(directory / found[name], np.ascontiguousarray(array, np.float32))
    return found


def embeddings(model: "LoadedModel", states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of each row, by the suite's own pipeline."""
    skipped = model.sentence.prompt_tokens(model.tokenizer)
    return np.stack([model.sentence.embed(row[real.astype(bool)], skipped)
                     for row, real in zip(states, mask, strict=True)]).astype(np.float32)
