"""Workloads: one batch of token ids, full or padded; a padded one is the unit of the latency benchmark."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.errors import CannotRun, first_line
from eagerbench.models.specs import config_length
from eagerbench.shown import count
from eagerbench.workloads.base import OneBatch, too_long
from eagerbench.workloads.sentences import SENTENCES
from eagerbench.workloads.vocabulary import draw_ids, pad_id, refuse_unknown_ids

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


@dataclass(frozen=True)
class TokenBatch(OneBatch):
    """`batch_size` rows of `sequence_length` tokens each, none of them padding.

    A model with a tokenizer gets real text, any other one uniformly drawn ids.
    """

    batch_size: int
    sequence_length: int
    seed: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", f"s{self.sequence_length}"

    def refuses(self, spec, variant, backend):
        return too_long(spec, self.sequence_length)

    def inputs(self, model: "LoadedModel", padding_side: str = "right") -> dict[str, np.ndarray]:
        """Named int64 arrays of shape (batch_size, sequence_length).

        A module with a method `example_inputs(batch_size, sequence_length, seed)` supplies its own arrays.

        Raises:
            CannotRun: the model takes no token ids and has no `example_inputs`, or takes no row as long.
        """
        if hasattr(model.module, "example_inputs"):
            return own_inputs(model.module, self.batch_size, self.sequence_length, self.seed)
        if "input_ids" not in model.input_names:
            raise CannotRun(f"{type(model.module).__name__}.forward has no parameter input_ids; give it a method "
                            "example_inputs(batch_size, sequence_length, seed)")
        if reason := too_long(model.spec, self.sequence_length):  # of a model that said so only when it was loaded
            raise CannotRun(reason)
        rng = np.random.default_rng([self.seed, self.batch_size, self.sequence_length])
        rows = [_row(model, length, rng) for length in self._lengths(rng)]
        return pad(rows, model, self.sequence_length, padding_side)

    @property
    def real(self) -> np.ndarray:
        """Which tokens are no padding, where it is on the right, bool (batch_size, sequence_length): also for a model
        that takes no mask."""
        rng = np.random.default_rng([self.seed, self.batch_size, self.sequence_length])
        return np.arange(self.sequence_length) < self._lengths(rng)[:, None]

    def _lengths(self, rng: np.random.Generator) -> np.ndarray:
        """Tokens of each row, drawn first of all."""
        return np.full(self.batch_size, self.sequence_length)


@dataclass(frozen=True)
class PaddedBatch(TokenBatch):
    """A batch in which the first row is full; the others have between half of the length and all of it, drawn from
    `seed`, and padding."""

    def _lengths(self, rng):
        lengths = rng.integers((self.sequence_length + 1) // 2, self.sequence_length + 1, self.batch_size)
        lengths[0] = self.sequence_length
        return lengths


def own_inputs(module: Any, batch_size: int, sequence_length: int, seed: int) -> dict[str, np.ndarray]:
    """What the `example_inputs` of a user's module gives, by name: numpy arrays of its own shapes, dtypes and number.

    Floating-point arrays become float32, as the reference's weights are; each variant casts them to its own.

    Raises:
        CannotRun: it fails, or gives no mapping of names to arrays.
    """
    what = f"{type(module).__name__}.example_inputs({batch_size}, {sequence_length}, {seed})"
    try:
        made = module.example_inputs(batch_size, sequence_length, seed)
    except Exception as error:
        raise CannotRun(f"{what} fails: {first_line(error)}") from error
    if not isinstance(made, Mapping) or not made or not all(isinstance(name, str) for name in made):
        raise CannotRun(f"{what} returns {type(made).__name__}; return a dict of names of forward's parameters and "
                        "numpy arrays")
    try:
        arrays = {name: np.asarray(value) for name, value in made.items()}
    except ValueError as error:
        raise CannotRun(f"{what} fails: {first_line(error)}") from error
    wrong = [name for name, array in arrays.items() if array.dtype.kind not in "fiub"]
    if wrong:
        raise CannotRun(f"{what}: {wrong[0]} is of dtype {arrays[wrong[0]].dtype}; give numbers or booleans")
    return {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in arrays.items()}


def pad(rows: list[np.ndarray], model: "LoadedModel", length: int, side: str = "right") -> dict[str, np.ndarray]:
    """Stack rows of ids into the model's named inputs, each int64 of shape (len(rows), length).

    Raises:
        CannotRun: an id out of the vocabulary.
    """
    refuse_unknown_ids(model, rows)
    ids = np.full((len(rows), length), pad_id(model), np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    for index, row in enumerate(rows):
        real = slice(0, len(row)) if side == "right" else slice(length - len(row), length)
        ids[index, real] = row
        mask[index, real] = 1
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {name: arrays[name] for name in model.input_names}


def tokenise(model: "LoadedModel", text: str, length: int) -> np.ndarray:
    """Ids of `text` with the model's own special tokens, cut to at most `length`."""
    return np.asarray(model.tokenizer(text, truncation=True, max_length=int(length))["input_ids"], np.int64)


def length_limit(model: "LoadedModel") -> int:
    """Tokens of the longest row that a model takes: by its position embeddings, else its tokenizer, else 512.

    A sentence-transformers model cuts where its `max_seq_length` says, else at the smallest of these.
    """
    positions = model.config and config_length(model.config.to_dict())
    limits = (model.spec.max_length, positions,
              getattr(model.tokenizer, "model_max_length", None))
    known = [limit for limit in limits if limit and limit < 1_000_000] or [512]  # "no limit" is 10³⁰
    if not model.sentence.declared:
        return known[0]
    return min(*known, model.sentence.max_length) if model.sentence.max_length else min(known)


def _row(model: "LoadedModel", length: int, rng: np.random.Generator) -> np.ndarray:
    if model.tokenizer is None or length < 4:  # shorter than [CLS] a word [SEP]: no text fits
        return draw_ids(model, int(length), rng)
    text = " ".join(rng.choice(SENTENCES, 1 + length // 4))  # every sentence has more than four tokens
    row = tokenise(model, text, length)
    if len(row) < length:
        raise CannotRun(f"the tokenizer made {count(len(row), 'token')} of {len(text)} characters; {length} are needed")
    return row
