"""Threads and instances: processes side by side on the cores of this machine."""

import pytest


@pytest.mark.experiment("threads")
def test_threads(case, build, measuring):
    """How cores should be divided between processes and their threads.

    Final number: `samples_per_s` of all instances together; the table names the best layout.
    Sample: pytest perf_tests/test_threads.py --benchmark-only --grid full --variant onnxruntime
    """
    with measuring(case, build(case)) as run:
        one_process = run.alone(run.call(run.inputs))
        run.finish(one_process)  # then instances on cores of their own run the same batch side by side
