"""A call from Python in turns with the same call from C++, on the same artifact."""

import pytest


@pytest.mark.experiment("python")
def test_python(case, build, measuring):
    """How much longer a call from Python takes than one from C++.

    Final number: `python_cost`, the call in Python divided by that in C++, with its 95 % interval (1: Python is free).
    Sample: pytest perf_tests/test_python.py --benchmark-only --variant openvino-cpp
    """
    with measuring(case, build(case)) as run:
        cpp, python = run.call(run.inputs), run.python(run.inputs)
        run.finish(run.in_turns(cpp, python))
