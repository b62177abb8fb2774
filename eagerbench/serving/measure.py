"""A variant under load: one query at a time, all at once, then the rate that its latency limit allows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from eagerbench.errors import CannotRun
from eagerbench.machine.readings import Counters
from eagerbench.measuring.disturbance import Turn, between
from eagerbench.serving.generator import ENOUGH, Call, Load, Outcome, drive
from eagerbench.serving.policy import Policy
from eagerbench.serving.search import Found, search

_OFFLINE_RUNS = 3  # the fastest counts: other work can only slow one down, and no higher rate is tried
Limit = Literal["latency", "throughput", "load generator"]


@dataclass(frozen=True)
class Measured:
    """
    Attributes:
        rate, sure, fails: as in `search.Found`.
        missing: the reason for no rate.
        runs: (rate, outcome) of every Server run, in order.
        turns: what the machine did meanwhile, one a run.
        seconds: inside all runs.
        mean_batch: queries of a call at `rate`.
    """

    rate: float | None
    sure: float | None
    fails: float | None
    missing: str | None
    limited_by: Limit
    carried: float
    single: Outcome
    offline: Outcome
    runs: list[tuple[float, Outcome]]
    turns: list[Turn]
    seconds: float
    mean_batch: float | None


@dataclass(frozen=True)
class Plan:
    """
    Attributes:
        ratio: between the rate that is found and one that fails, at most.
        repeats: runs at the rate that is found.
        least_s, limits: seconds of a run, and how many times the latency limit it takes at least, so that a queue that
            grows shows.
    """

    ratio: float
    repeats: int
    least_s: float
    limits: int = 20

    def measure(self, call: Call, policy: Policy, lengths: Sequence[int], limit_s: float, carried: float) -> Measured:
        """
        Raises:
            CannotRun: the load generator carries no rate that is worth trying.
        """
        return _Measuring(self, call, policy, lengths, limit_s, carried).all()


@dataclass
class _Measuring:
    plan: Plan
    call: Call
    policy: Policy
    lengths: Sequence[int]
    limit_s: float
    carried: float
    runs: list[tuple[float, Outcome]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def all(self) -> Measured:
        began = time.perf_counter()
        alone = Policy()
        self._drive(Load("SingleStream", least_queries=len(self.lengths), least_s=0.1, each_once=True), alone)
        single = self._drive(Load("SingleStream", least_s=0.1), alone)
        at_once = Load("Offline", 1 / single.mean_s, least_queries=len(self.lengths), least_s=self._least_s)
        offline = max((self._drive(at_once, self.policy) for _ in range(_OFFLINE_RUNS)),
                      key=lambda found: found.samples_per_s)
        high = min(offline.samples_per_s, self.carried)
        low = min(1 / single.mean_s, high) / 4
        if high < 1 / single.mean_s / 4:
            raise CannotRun(f"the load generator carries {self.carried:.0f} queries/s here, with a system that does "
                            f"nothing, {1 / single.mean_s:.0f} are answered one at a time: stop other work, or give "
                            "a larger --p99-ms")
        if single.p99_s > self.limit_s:  # no rate would be better than one query at a time
            found = Found(None, None, None)
        else:
            found = search(self._holds, low, high, self.plan.ratio, self.plan.repeats)
        limited: Limit = "latency"
        if found.fails is None and found.rate is not None:
            limited = "load generator" if self.carried < offline.samples_per_s else "throughput"
        missing = None if found.rate is not None else (
            f"p99 is over {1e3 * self.limit_s:g} ms at every rate that was tried: {1e3 * single.p99_s:.1f} ms for one "
            "query at a time")
        return Measured(found.rate, found.sure, found.fails, missing, limited, self.carried, single, offline,
                        self.runs, self.turns, time.perf_counter() - began, self._mean_batch(found.rate))

    @property
    def _least_s(self) -> float:
        return max(self.plan.least_s, self.plan.limits * self.limit_s)

    def _drive(self, load: Load, policy: Policy) -> Outcome | None:
        return drive(load, len(self.lengths), policy, self.lengths, self.call)

    def _holds(self, rate: float) -> bool:
        """A Server run, each with another schedule."""
        number, counters = len(self.runs), Counters()
        before = counters.read()
        found = self._drive(Load("Server", rate, self.limit_s, ENOUGH, self._least_s, seed=number + 1), self.policy)
        self.runs.append((rate, found))
        self.turns.append(between(before, counters.read(), number, found.queries))
        return found.valid and found.queries >= ENOUGH

    def _mean_batch(self, rate: float | None) -> float | None:
        here = [found for at, found in self.runs if at == rate and found.batches]
        return sum(found.queries for found in here) / sum(found.batches for found in here) if here else None
