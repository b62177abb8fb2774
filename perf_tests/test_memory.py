"""Peak memory of a process that loads a variant and runs it."""

import pytest


@pytest.mark.experiment("memory")
def test_memory(case, build, measure):
    """How much memory a process takes, against one that runs eager.

    Final number: `peak_rss_vs_eager`, the ratio of peak resident sizes.
    Sample: pytest perf_tests/test_memory.py --benchmark-only --variant eager --variant onnxruntime-int8
    """
    measure(case, build(case))
