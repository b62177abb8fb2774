"""A model's tokenizer as one of `tokenizers`, with padding and truncation in it: it needs no transformers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.errors import CannotRun
from eagerbench.models.sentence import Pipeline
from eagerbench.workloads import vocabulary
from eagerbench.workloads.padded_batch import length_limit
from eagerbench.workloads.sentences import SENTENCES

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

# Of each input that a text model takes, its name in a row of `tokenizers`.
FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def fast_tokenizer(model: "LoadedModel", pairs: bool = False) -> Any:
    """A `tokenizers.Tokenizer` that pads to the longest row and cuts at the model's limit.

    Raises:
        CannotRun: transformers has no fast form of this tokenizer, or that form gives other tokens.
    """
    theirs, limit = model.tokenizer, length_limit(model)
    backend = getattr(theirs, "backend_tokenizer", None)
    if backend is None:
        raise CannotRun(f"{type(theirs).__name__} is written in Python and has no tokenizer.json")
    made = type(backend).from_str(backend.to_str())
    made.enable_truncation(limit, strategy="only_second" if pairs else "longest_first",
                           direction=theirs.truncation_side)
    number = vocabulary.pad_id(model)
    made.enable_padding(direction=theirs.padding_side, pad_id=number, pad_type_id=theirs.pad_token_type_id,
                        pad_token=made.id_to_token(number) or "")
    _require_same(model, made, limit, pairs)
    return made


def pipeline(model: "LoadedModel") -> Pipeline:
    """How its users prepare a text: as its sentence-transformers files say, or not at all."""
    return model.sentence if model.sentence.declared else Pipeline()


def arrays(names: Sequence[str], rows: Sequence[Any]) -> dict[str, np.ndarray]:
    """Rows of `tokenizers` as named int64 arrays (texts, tokens)."""
    return {name: np.array([getattr(row, FIELDS[name]) for row in rows], np.int64) for name in names}


def _require_same(model: "LoadedModel", made: Any, limit: int, pairs: bool) -> None:
    """Raise CannotRun where its ids are not those of the tokenizer that was measured."""
    texts = [*SENTENCES[:8], " ".join(SENTENCES), "naïve Œuvre – 東京 🙂", *([] if pairs else [""])]
    for text in texts:
        given = (SENTENCES[0], text) if pairs else (pipeline(model).prepared(text),)
        how = {"truncation": "only_second" if pairs else True, "max_length": limit}
        wanted = model.tokenizer(*given, **how)["input_ids"]
        row = made.encode(*given)
        got = [number for number, real in zip(row.ids, row.attention_mask, strict=True) if real]
        if got != wanted:
            raise CannotRun(f"its tokenizer.json gives other tokens than {type(model.tokenizer).__name__} for "
                            f"{text[:30]!r}")
