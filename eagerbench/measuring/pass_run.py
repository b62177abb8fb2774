"""A run whose timed call is a pass over sentences in batches."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.machine import spent
from eagerbench.measuring.run import Run
from eagerbench.measuring.sentences import Pass, SentencesExpected, expected_once, judge
from eagerbench.measuring.turns import seconds_of
from eagerbench.workloads.batching import Batches

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing


class PassRun(Run):
    """`prepare` of a subclass sets these:

    Attributes:
        rows: int64 ids of each sentence.
        batches: their indices.
        expected: what they must give.
    """

    kind: type[Pass] = Pass
    rows: Sequence[np.ndarray]
    batches: Batches
    expected: SentencesExpected

    def expect(self, key: Hashable, rows: Sequence[np.ndarray], batches: Batches) -> SentencesExpected:
        """What rows must give, made once for all variants; `key` is theirs among all that the model gets."""
        return expected_once(self.once, key, rows, batches, self.model, self.reference, self.kind)

    @cached_property
    def inputs(self):
        return next(self.kind.shaped(self.rows, self.batches, self.model))

    def called(self):
        """The batches of the shortest and of the longest rows."""
        by_width = sorted(self.kind.shaped(self.rows, self.batches, self.model),
                          key=lambda inputs: next(iter(inputs.values())).shape[1])
        yield by_width[0]
        yield by_width[-1]

    def call(self, rows: Sequence[np.ndarray], batches: Batches) -> Pass:
        """The variant on one batch after another."""
        return self.kind(self.built.runner, rows, batches, self.model)

    def eager(self, rows: Sequence[np.ndarray], batches: Batches) -> Pass:
        """Eager on the very same batches."""
        return self.kind(self.reference.runner, rows, batches, self.model)

    @staticmethod
    def first_call(call: Pass) -> float:
        """Seconds of the first call, which is that of one batch, not of a pass."""
        with spent.during("warming_up"):
            return seconds_of(call.first_call)

    def in_pairs(self, call, reference, pairs):
        first_call_s = self.first_call(call)
        timing = super().in_pairs(call, reference, pairs)
        return replace(timing, first_call_s=first_call_s, spent_s=first_call_s + timing.spent_s)

    def alone(self, call: Pass, **how: Any) -> "Timing":
        first_call_s = self.first_call(call)
        timing = super().alone(call, **{"budget_s": self.session.selection.time_budget, **how})
        return replace(timing, first_call_s=first_call_s, spent_s=first_call_s + timing.spent_s)

    def judge(self, timing):
        outputs = self.kind.cut(timing.result, self.batches, self.expected.lengths)
        return judge(outputs, self.batches, self.expected, self.case.variant.tolerance, self.model.pretrained)
