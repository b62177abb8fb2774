"""From texts to embeddings with everything that a request takes: tokenizer, model, pooling, and what follows it."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.backends.base import Runner
from eagerbench.errors import CannotRun
from eagerbench.measuring.sentences import Embed, embedding
from eagerbench.workloads.batching import Batches
from eagerbench.workloads.fast_tokenizer import arrays, fast_tokenizer, pipeline

if TYPE_CHECKING:
    from eagerbench.backends.building import Built
    from eagerbench.models.loading import LoadedModel

STATES, MASK = "last_hidden_state", "attention_mask"


class Encoder:
    """A runner on arrays, with the tokenizer before it and the pooling behind it, as the package of a variant has them.

    Attributes:
        model_s: seconds inside the runner's calls so far.

    Raises:
        CannotRun: the model has no states to pool, or no tokenizer that can be called without transformers.
    """

    def __init__(self, runner: Runner, model: "LoadedModel"):
        if MASK not in model.input_names:
            raise CannotRun(f"{type(model.module).__name__} takes no attention mask, which pooling needs")
        self._runner = runner
        self._names = model.input_names
        self._prepared = pipeline(model).prepared
        self._tokenizer = fast_tokenizer(model)
        self._embed = embedding(model)
        self.model_s = 0.0

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings (texts, size), float32."""
        rows = self._tokenizer.encode_batch([self._prepared(text) for text in texts])
        inputs = arrays(self._names, rows)
        native = self._runner.prepare(inputs)
        start = time.perf_counter()
        outputs = self._runner(native)
        self.model_s += time.perf_counter() - start
        return embeddings(self._embed, self._runner.arrays(outputs)[STATES], inputs[MASK])


def embeddings(embed: Embed, states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of the states (texts, tokens, size) of real tokens, float32 (texts, size of an embedding)."""
    return np.stack([embed(row[real.astype(bool)]) for row, real in zip(states, mask, strict=True)]).astype(np.float32)


def encoder(built: "Built", model: "LoadedModel") -> Callable[[Sequence[str]], np.ndarray]:
    """What makes embeddings of texts by a built variant: one that reads texts does it by itself."""
    return built.runner if built.backend.reads_texts else Encoder(built.runner, model)


class Requests:
    """A call makes the embeddings of all texts, one request after another.

    Args:
        encode: an `Encoder`, or a runner that reads texts.
        batches: indices of the texts of each request.

    Attributes:
        shares: of each call, the share of its seconds that was spent inside the model.
    """

    def __init__(self, encode: Any, texts: Sequence[str], batches: Batches):
        self._encode = encode
        self._requests = [[texts[index] for index in batch] for batch in batches]
        self.shares: list[float] = []

    def __call__(self) -> list[np.ndarray]:
        before, start = self._encode.model_s, time.perf_counter()
        found = [self._encode(request) for request in self._requests]
        spent_s = time.perf_counter() - start
        self.shares.append((self._encode.model_s - before) / spent_s)
        return found

    def first_call(self) -> np.ndarray:
        return self._encode(self._requests[0])
