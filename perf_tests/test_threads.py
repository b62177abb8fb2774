"""Threads and instances: processes side by side on the cores of this machine."""

import pytest


@pytest.mark.experiment("threads")
def test_threads(case, build, measure):
    """How cores are best shared out between processes and their threads.

    Final number: `samples_per_s` of all instances together; the table names the best layout.
    Sample: pytest perf_tests/test_threads.py --benchmark-only --grid full --variant onnxruntime
    """
    measure(case, build(case))
