"""A run whose timed call is one batch."""

from eagerbench.measuring.run import Run
from eagerbench.results.record import Batch


class OneBatchRun(Run):
    """`call` and `eager` take the very same inputs; what the last timed call returned is judged."""

    def prepare(self) -> None:
        self.one = getattr(self.work, "batch", self.work)  # of workloads that hold one
        self.expected = self.reference.expected(self.one)

    @property
    def inputs(self):
        return self.expected.inputs

    def call(self, inputs):
        """The variant on inputs, which are made once into what its users hold."""
        return called(self.built.runner, inputs)

    def eager(self, inputs):
        return called(self.reference.runner, inputs)

    def in_turns(self, call, reference, **how):
        """Eager is warmed up once for all variants of this batch."""
        timing = super().in_turns(call, reference, self.expected.call_s, **how)
        self.expected.call_s = timing.reference_s
        return timing

    def judge(self, timing):
        return self.expected.judge(self.built.runner.arrays(timing.result), self.case.variant.tolerance)

    @property
    def batch(self) -> Batch:
        """As the record has it."""
        return Batch(batch_size=self.one.batch_size, sequence_length=self.one.sequence_length)

    @property
    def padded_tokens(self) -> int:
        return self.one.batch_size * self.one.sequence_length

    @property
    def real_tokens(self) -> int:
        mask = self.expected.mask
        return self.padded_tokens if mask is None else int(mask.sum())


def called(runner, inputs):
    native = runner.prepare(inputs)
    return lambda: runner(native)
