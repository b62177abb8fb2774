"""Which token ids a model takes: the range to draw from, the id of padded places, and what is out of range."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.errors import CannotRun

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

_KINDS = ("pad", "bos", "eos", "cls", "sep")


def embedding_rows(model: "LoadedModel") -> int | None:
    """Rows of the token embedding; None where it has no such table (CANINE hashes its ids) or does not say."""
    if model.config is not None and getattr(model.config, "vocab_size", None) is None:
        return None
    try:
        return getattr(model.module.get_input_embeddings(), "num_embeddings", None)
    except (AttributeError, NotImplementedError):
        return None


def vocabulary(model: "LoadedModel") -> int:
    """One more than the largest id to draw: the config's number, and no more than the embedding has rows."""
    known = [size for size in (getattr(model.config, "vocab_size", None), embedding_rows(model)) if size]
    if known:
        return min(known)
    embedding = next((part for part in model.module.modules() if hasattr(part, "num_embeddings")), None)
    return getattr(embedding, "num_embeddings", 2)


def special_ids(model: "LoadedModel") -> list[int]:
    """Ids of the config's special tokens, some of which have several; those out of the vocabulary left out."""
    found = [number for kind in _KINDS for number in _numbers(getattr(model.config, f"{kind}_token_id", None))]
    return [number for number in found if 0 <= number < vocabulary(model)]


def pad_id(model: "LoadedModel") -> int:
    """The id of padded places: the config's or the tokenizer's padding, else its end of text, else 0.

    Whatever is missing or out of the vocabulary is passed over: the mask hides these places, so any id will do.
    """
    rows = embedding_rows(model) or vocabulary(model)
    candidates = (getattr(model.config, "pad_token_id", None), getattr(model.tokenizer, "pad_token_id", None),
                  getattr(model.config, "eos_token_id", None))
    return next((number for wanted in candidates for number in _numbers(wanted) if 0 <= number < rows), 0)


def ordinary_ids(model: "LoadedModel") -> tuple[int, int]:
    """Range of ids that are no special tokens: those are at the start, GPT-2's only one is at the end. Of a vocabulary
    that has nothing between them, all ids."""
    size = vocabulary(model)
    first = max([number for number in special_ids(model) if number < size // 2], default=0) + 1
    return (first, size - 1) if first < size - 1 else (0, size)


def draw_ids(model: "LoadedModel", length: int, rng: np.random.Generator) -> np.ndarray:
    """Uniformly drawn ids of words, int64 of shape (length,)."""
    low, high = ordinary_ids(model)
    ids = rng.integers(low, high, length)
    inside = [number for number in special_ids(model) if low < number < high]
    return np.where(np.isin(ids, inside), low, ids) if inside else ids


def refuse_unknown_ids(model: "LoadedModel", rows: Sequence[np.ndarray]) -> None:
    """
    Raises:
        CannotRun: an id that the embedding has no row for: the tokenizer is another model's, or has more tokens.
    """
    known = embedding_rows(model)
    ids = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    wrong = ids[(ids < 0) | (ids >= known)] if known else ids[:0]
    if len(wrong):
        token = _token(model, int(wrong[0]))
        raise CannotRun(f"token id {wrong[0]}{token} is out of the vocabulary, whose ids are 0 to {known - 1}: give "
                        "the model's own tokenizer, or resize_token_embeddings() and save again")


def out_of_range(model: "LoadedModel", inputs: Any) -> str:
    """What an IndexError of an embedding may come from: the ids, positions and special ids beside their limits."""
    facts = []
    if "input_ids" in inputs and getattr(inputs["input_ids"], "size", 0):
        ids = inputs["input_ids"]
        facts.append(f"ids {ids.min()} to {ids.max()} of a vocabulary of {embedding_rows(model) or 'unknown size'}")
        positions = getattr(model.config, "max_position_embeddings", "unknown number")
        facts.append(f"{ids.shape[-1]} positions of {positions}")
    facts += [f"{kind}_token_id {wanted}" for kind in _KINDS
              if (wanted := getattr(model.config, f"{kind}_token_id", None)) not in (None, *special_ids(model))]
    return "; ".join(facts)


def _numbers(wanted: Any) -> Iterable[int]:
    """An id, or several, as whole numbers; nothing for None or a word."""
    several = wanted if isinstance(wanted, list | tuple) else [wanted]
    return [number for number in several if isinstance(number, int) and not isinstance(number, bool)]


def _token(model: "LoadedModel", number: int) -> str:
    convert = getattr(model.tokenizer, "convert_ids_to_tokens", None)
    return f" ({convert(number)!r})" if convert is not None and number >= 0 else ""
