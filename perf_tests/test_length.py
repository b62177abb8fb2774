"""Latency against sequence length, rows without padding."""

import pytest


@pytest.mark.experiment("length")
def test_length(case, build, measure):
    """What a token costs, and how that grows with the length.

    Final number: `cost_per_token_s` of the longest length, fitted over all.
    Sample: pytest perf_tests/test_length.py --benchmark-only --grid full --variant sdpa
    """
    measure(case, build(case))
