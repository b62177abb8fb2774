"""What the harness itself costs: a no-op through the whole timing path, against itself."""

from statistics import median

from eagerbench.measuring.timing import time_against

TARGET_S = 20e-6


def test_harness_overhead(benchmark, selection):
    """How much a timed round adds to what it times.

    Final number: `overhead_s`, the median round of a call that does nothing (target: under 20 µs).
    Sample: pytest perf_tests/test_harness_overhead.py --benchmark-only
    """
    answer = object()
    benchmark.group = "harness"
    timing = time_against(benchmark, lambda: answer, lambda: answer, min(selection.time_budget, 1.0))
    assert timing.result is answer
    if benchmark.enabled:
        benchmark.extra_info.update(bench_id="harness/no-op", overhead_s=median(timing.rounds), target_s=TARGET_S)
