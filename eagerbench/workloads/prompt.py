"""Workload: prompts of equal length that a causal language model continues greedily."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.models.catalog import CAUSAL_LM
from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.base import Workload, head_unknown, too_long
from eagerbench.workloads.padded_batch import TokenBatch

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

# Batch sizes, tokens of the prompt, new tokens, and key-value caches of a grid.
GRIDS = {
    "smoke": ((1,), 8, 4, ("dynamic",)),
    "default": ((1,), 16, 8, ("dynamic",)),
    "full": ((1, 8), 32, 32, ("none", "dynamic", "static")),
}


@dataclass(frozen=True)
class Prompt(Workload):
    """`batch_size` prompts of `prompt_tokens` each, to be continued by `new_tokens`, whatever they are.

    Attributes:
        cache: of keys and values: `none` (the whole text again at every token), `dynamic` (grows) or `static`.
    """

    batch_size: int
    prompt_tokens: int
    new_tokens: int
    cache: str
    seed: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", f"s{self.prompt_tokens}", f"n{self.new_tokens}", self.cache

    @property
    def facts(self):
        return {"batch_size": self.batch_size, "sequence_length": self.prompt_tokens, "new_tokens": self.new_tokens,
                "cache": self.cache}

    def refuses(self, spec, variant, backend):
        if spec.task != CAUSAL_LM:
            return head_unknown(spec) or f"{spec.name} is no causal language model: it generates nothing"
        return (too_long(spec, self.prompt_tokens + self.new_tokens)
                or backend.cannot_generate(variant, self.cache))

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """`input_ids` and `attention_mask`, int64 of shape (batch_size, prompt_tokens), without padding."""
        return TokenBatch(self.batch_size, self.prompt_tokens, self.seed).inputs(model)


def prompts(spec: ModelSpec, selection: "Selection") -> list[Prompt]:
    """Each cache at each batch size; `--sequence-lengths` gives the prompt's."""
    batch_sizes, tokens, new, caches = GRIDS[selection.grid]
    return [Prompt(size, length, new, cache, selection.seed) for size, length, cache in
            product(selection.batch_sizes or batch_sizes, selection.sequence_lengths or (tokens,), caches)]
