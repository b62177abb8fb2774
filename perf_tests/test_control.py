"""Controls: fixed work with no code of this project in it. Between two commits it must not move."""

import numpy as np
import pytest

from eagerbench.measuring.timing import in_turns

_PRODUCTS, _SIZE = 128, 64  # OpenBLAS keeps products of 64³ on one thread, whatever --threads says
_COPIED_BYTES = 32 * 2**20


def matmul():
    """128 float32 products of 64³ by numpy's BLAS."""
    a = np.random.default_rng(0).random((_PRODUCTS, _SIZE, _SIZE), np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out), a @ a


def copy():
    """32 MiB from one array to another: memory, not caches."""
    source = np.random.default_rng(0).random(_COPIED_BYTES // 4, np.float32)
    out = np.empty_like(source)

    def copied():
        np.copyto(out, source)
        return out

    return copied, source


@pytest.mark.parametrize("work", [pytest.param(work, id=work.__name__,
                                               marks=pytest.mark.bench_id(f"control/{work.__name__}"))
                                  for work in (matmul, copy)])
def test_control(benchmark, session, work):
    """How fast the machine is, whatever the code.

    Final number: in a duet the ratio of both sides. If it changes by 2 %, the machine has changed: no verdict.
    Sample: pytest perf_tests/test_control.py --benchmark-only
    """
    call, expected = work()
    benchmark.group = "control"
    timing = in_turns(session.partner, benchmark, f"control/{work.__name__}", call, call,
                      session.selection.time_budget)
    np.testing.assert_allclose(timing.result, expected, rtol=1e-5)
    benchmark.extra_info["bench_id"] = f"control/{work.__name__}"
