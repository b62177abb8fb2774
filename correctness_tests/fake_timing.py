"""A clock that only calls advance, and pytest-benchmark's own fixture timed by it: timing without time."""

import time
from types import SimpleNamespace

from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.utils import NameWrapper

from eagerbench.measuring import timing, turns


class Clock:
    """Stands for the module `time`."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def taking(self, *seconds: float):
        """A call that takes these seconds, one after another, the last of them for ever; it returns their number."""
        calls = []

        def call() -> int:
            self.now += seconds[min(len(calls), len(seconds) - 1)]
            calls.append(None)
            return len(calls)

        return call


def install(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    monkeypatch.setattr(timing, "time", clock)
    return clock


def benchmark(clock: Clock) -> BenchmarkFixture:
    """The real fixture. `sessions` of it are the stats that would be saved."""
    saved: list = []
    node = SimpleNamespace(name="t", nodeid="t")
    made = BenchmarkFixture(
        node, disable_gc=False, timer=NameWrapper(clock.perf_counter), min_rounds=1, min_time=0, max_time=1,
        precision=None, confidence=None, warmup=False, warmup_iterations=0, calibration_precision=1,
        add_stats=saved.append, logger=None, warner=time, disabled=False, cprofile=None, cprofile_loops=None,
        cprofile_dump=None)
    made.saved = saved
    return made
