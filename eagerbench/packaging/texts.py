"""Texts: the tokenizer as a file that needs no transformers, and what makes an embedding of the states of tokens."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.errors import CannotRun
from eagerbench.models import sentence_layers
from eagerbench.packaging.manifest import Pooling, TextInput
from eagerbench.workloads import vocabulary
from eagerbench.workloads.fast_tokenizer import fast_tokenizer, pipeline
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
    try:
        made = fast_tokenizer(model, pairs)
    except CannotRun as reason:
        raise CannotRun(f"{reason}: {ARRAYS_INSTEAD}") from reason
    made.save(str(directory / TOKENIZER))
    how = pipeline(model)
    return TextInput(prompt=how.prompt, prompts=dict(how.roles), lower_case=how.lower_case,
                     max_length=length_limit(model))


def given_texts(pairs: bool) -> list[str]:
    """What is shipped to be checked: texts of different lengths; for a question answerer, questions and contexts."""
    if not pairs:
        return list(SENTENCES[:4])
    return ["When does the contract end?", SENTENCES[24], "What lends the library?", SENTENCES[28]]


def tokenised(model: "LoadedModel", given: Sequence[str], pairs: bool) -> dict[str, np.ndarray]:
    """The same texts as the suite's users have them: by transformers."""
    texts = [given[::2], given[1::2]] if pairs else [[pipeline(model).prepared(text) for text in given]]
    how = {"truncation": "only_second" if pairs else True, "max_length": length_limit(model), "padding": True}
    tokenizer = copy.copy(model.tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(vocabulary.pad_id(model))
    rows = tokenizer(*map(list, texts), return_token_type_ids=True, return_attention_mask=True, **how)
    return {name: np.asarray(rows[name], np.int64) for name in model.input_names}


def write_pooling(model: "LoadedModel", states: str, directory: Path) -> Pooling:
    """Write the weights of the layers that follow pooling."""
    steps = [_written(step, f"pooling/{place}", directory) for place, (_, step) in enumerate(model.sentence.steps)]
    return Pooling(states=states, modes=list(model.sentence.modes), steps=steps,
                   skipped_tokens=model.sentence.prompt_tokens(model.tokenizer))


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
