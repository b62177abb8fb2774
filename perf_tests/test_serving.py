"""Under load: queries that come at random times, answered within a latency limit."""

import pytest


@pytest.mark.experiment("serving")
def test_serving(case, build, measuring):
    """How many queries a second are answered within --p99-ms at the 99th percentile, one by one and in batches.

    Final number: `queries_per_s`, the highest rate that holds the limit by the rules of MLPerf's load generator.
    Sample: pytest perf_tests/test_serving.py --benchmark-only --variant onnxruntime --p99-ms 50
    """
    with measuring(case, build(case)) as run:
        one_pass = run.alone(run.call(run.rows, run.batches))
        run.finish(one_pass)  # then the load generator asks for the same sentences, at one rate after another
