"""What answers queries: a runner on the sentences of a batch, padded to its longest, as a server would call it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.measuring.sentences import padded
from eagerbench.workloads.batching import Batches

if TYPE_CHECKING:
    from eagerbench.backends.base import Arrays, Runner
    from eagerbench.models.loading import LoadedModel


class Served:
    """A call pads the sentences of a batch, makes the runtime's own inputs, runs them, and keeps the answers as numpy
    arrays: all of it is in the latency. Tokenising is not.

    Args:
        rows: int64 ids of each sentence.
    """

    def __init__(self, runner: "Runner", rows: Sequence[np.ndarray], model: "LoadedModel"):
        self._runner = runner
        self._rows = rows
        self._model = model
        self._answers: dict[int, tuple[int, list[int], Arrays]] = {}  # sentence: its last (call, batch, outputs)
        self.calls = 0

    def __call__(self, batch: list[int]) -> None:
        inputs = next(padded(self._rows, [batch], self._model))
        answer = self.calls, batch, self._runner.arrays(self._runner(self._runner.prepare(inputs)))
        self.calls += 1
        self._answers.update(dict.fromkeys(batch, answer))

    def kept(self) -> tuple[Batches, "list[Arrays]"]:
        """The batches that have the last answer to any sentence, in the order of their calls, with their outputs."""
        calls = {call: (batch, outputs) for call, batch, outputs in self._answers.values()}
        ordered = [calls[call] for call in sorted(calls)]
        return [batch for batch, _ in ordered], [outputs for _, outputs in ordered]
