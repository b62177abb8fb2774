"""The cost of padding: one long text beside short ones, in turns with equal rows of the same tokens."""

import pytest


@pytest.mark.experiment("padding")
def test_padding(case, build, measuring):
    """How much longer the same tokens take when one long row pads the others, and how much of that nested tensors or a
    separate batch for the long row save.

    Final number: `padding_cost`, the time divided by that of equal rows, with its 95 % interval (1: padding is free).
    Sample: pytest perf_tests/test_padding.py --benchmark-only --grid full --variant sdpa --variant 'bettertransformer*'
    """
    with measuring(case, build(case)) as run:
        padded, equal = run.call(run.rows, run.batches), run.call(run.equal_rows, run.one_batch)
        run.finish(run.in_turns(padded, equal))
