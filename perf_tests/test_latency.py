"""Latency of one forward pass over a padded batch, by every variant, in turns with eager."""

import pytest


@pytest.mark.experiment("latency")
def test_latency(case, build, measuring):
    """How long one call takes.

    Final number: `speedup_vs_eager`, with its 95 % interval.
    Sample: pytest perf_tests --benchmark-only --variant sdpa --batch-sizes 8 --sequence-lengths 128
    """
    with measuring(case, build(case)) as run:
        variant, eager = run.call(run.inputs), run.eager(run.inputs)
        run.finish(run.in_turns(variant, eager))
