"""Peak memory of a process that loads a variant and runs it."""

import pytest

from eagerbench.measuring.timing import LEAST_ROUNDS


@pytest.mark.experiment("memory")
def test_memory(case, build, measuring):
    """How much memory a process takes, against one that runs eager.

    Final number: `peak_rss_vs_eager`, the ratio of peak resident sizes.
    Sample: pytest perf_tests/test_memory.py --benchmark-only --variant eager --variant onnxruntime-int8
    """
    with measuring(case, build(case)) as run:
        few_calls = run.alone(run.call(run.inputs), rounds=LEAST_ROUNDS, again=False)
        run.finish(few_calls)  # then the peaks of two fresh processes are taken
