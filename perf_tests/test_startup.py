"""What a process pays before its first answer: build, load, first call, bytes on disk."""

import pytest


@pytest.mark.experiment("startup")
def test_startup(case, build, measuring):
    """After how many calls a variant has paid back its build and its load.

    Final number: `break_even_calls`, null with a reason when the variant is not faster than eager.
    Sample: pytest perf_tests/test_startup.py --benchmark-only --variant eager --variant onnxruntime
    """
    with measuring(case, build(case)) as run:
        variant, eager = run.call(run.inputs), run.eager(run.inputs)
        timing = run.in_turns(variant, eager)
        run.finish(timing)  # then fresh processes load the variant, and eager, and call it once
