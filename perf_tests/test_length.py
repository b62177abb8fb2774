"""Latency against sequence length, rows without padding."""

import pytest


@pytest.mark.experiment("length")
def test_length(case, build, measuring):
    """What a token costs, and how that grows with the length.

    Final number: `call_s`, the median call; the table fits the cost of a token to all lengths.
    Sample: pytest perf_tests/test_length.py --benchmark-only --grid full --variant sdpa
    """
    with measuring(case, build(case)) as run:
        variant = run.call(run.inputs)
        run.finish(run.alone(variant))
