"""The cost of padding: one long text beside short ones, in turns with equal rows of the same tokens."""

import pytest


@pytest.mark.experiment("padding")
def test_padding(case, build, measure):
    """How much longer the same tokens take when one long row pads the others, and what nested tensors or a batch of
    its own for the long row save of it.

    Final number: `padding_cost`, times the equal rows' time, with its 95 % interval (1: padding is free).
    Sample: pytest perf_tests/test_padding.py --benchmark-only --grid full --variant sdpa --variant 'bettertransformer*'
    """
    measure(case, build(case))
