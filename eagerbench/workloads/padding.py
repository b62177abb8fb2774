"""Workload: the same tokens in rows of equal length, and in rows that one long text pads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.errors import CannotRun
from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.base import Workload, one_shape_only, text_only, too_long
from eagerbench.workloads.batching import Batches
from eagerbench.workloads.padded_batch import tokenise
from eagerbench.workloads.sentences import SENTENCES
from eagerbench.workloads.vocabulary import draw_ids

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

# Rows, the length of the long one, and (percent of padding, layout) of a grid.
GRIDS = {
    "smoke": (4, 32, ((50, "one-batch"),)),
    "default": (8, 64, ((75, "one-batch"),)),
    "full": (16, 128, tuple((percent, layout) for percent in (0, 25, 50, 75, 90)
                            for layout in ("one-batch", "bucketed") if percent or layout == "one-batch")),
}


@dataclass(frozen=True)
class PaddingPair(Workload):
    """`batch_size` rows, the first of `sequence_length` tokens, the others so short that `percent` of the batch is
    padding; beside it as many rows of one length with the same tokens.

    Attributes:
        layout: `one-batch` pads all to the longest; `bucketed` makes the long row a batch of its own.
    """

    batch_size: int
    sequence_length: int
    percent: int
    layout: str
    seed: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", f"s{self.sequence_length}", f"p{self.percent}", self.layout

    @property
    def facts(self):
        return {"batch_size": self.batch_size, "sequence_length": self.sequence_length, "layout": self.layout}

    def refuses(self, spec, variant, backend):
        return text_only(spec) or too_long(spec, self.sequence_length) or one_shape_only(backend)

    @property
    def equal_length(self) -> int:
        """Of the rows without padding; their tokens are those of the padded rows."""
        return max(round(self.sequence_length * (1 - self.percent / 100)), 1)

    @property
    def lengths(self) -> list[int]:
        """Of the padded rows: the long one, and the other tokens shared out evenly among the others."""
        others = self.batch_size - 1
        rest = self.batch_size * self.equal_length - self.sequence_length
        if rest < others:
            raise ValueError(f"{self.percent} % of padding needs more than {self.batch_size} rows")
        return [self.sequence_length, *(rest // others + (index < rest % others) for index in range(others))]

    @property
    def batches(self) -> Batches:
        """Indices of the padded rows."""
        rows = list(range(self.batch_size))
        return [rows] if self.layout == "one-batch" else [rows[:1], rows[1:]]

    def rows(self, model: "LoadedModel") -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Rows of equal length, and the padded ones: int64 ids of one stream of tokens, cut in two ways.

        Raises:
            CannotRun: the model takes no token ids.
        """
        if "input_ids" not in model.input_names:
            raise CannotRun(f"{type(model.module).__name__}.forward takes no input_ids: its rows have no length")
        stream = self._stream(model, self.batch_size * self.equal_length)
        equal = np.split(stream, self.batch_size)
        return equal, np.split(stream, np.cumsum(self.lengths)[:-1])

    def _stream(self, model: "LoadedModel", tokens: int) -> np.ndarray:
        """Ids of text without special tokens, or drawn ones."""
        rng = np.random.default_rng([self.seed, tokens])
        if model.tokenizer is None:
            return draw_ids(model, tokens, rng)
        special = model.tokenizer.all_special_ids
        found: list[int] = []
        while len(found) < tokens:
            ids = [i for i in tokenise(model, str(rng.choice(SENTENCES)), self.sequence_length) if i not in special]
            if not ids:
                raise CannotRun("the tokenizer makes no tokens of English text")
            found += ids
        return np.asarray(found[:tokens], np.int64)


def padding_pairs(spec: ModelSpec, selection: "Selection") -> list[PaddingPair]:
    """Each share of padding of the grid, in each layout."""
    rows, length, points = GRIDS[selection.grid]
    return [PaddingPair(rows, length, percent, layout, selection.seed) for percent, layout in points]
