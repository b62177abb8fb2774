"""Times a callable against the reference. Only this module calls pytest-benchmark's fixture."""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eagerbench.machine import elsewhere, spent
from eagerbench.measuring.disturbance import MOST_REPEATS, OVERRUN, Conditions, Watch, accepted, disturbed
from eagerbench.measuring.turns import (
    Call,
    Finished,
    Observer,
    Series,
    Turns,
    WarmUp,
    schedule,
    schedule_of_pairs,
    seconds_of,
    warm_up,
    warm_up_budget,
)

if TYPE_CHECKING:
    from eagerbench.measuring.partner import Partner

Entered = Callable[[str], None]
LEAST_ROUNDS, MOST_ROUNDS = 3, 2000  # without turns


@dataclass(frozen=True)
class Timing:
    """What timing left behind.

    Attributes:
        result: what the last timed call returned.
        first_call_s: seconds of the first call after the build.
        warm_up: how the variant became steady; None without a search for it.
        turns: the turns taken with the reference; None without one, in a duet, and when benchmarks are disabled.
        rounds: seconds of every timed round of the variant, in order; empty when benchmarks are disabled.
        reference_s: seconds a reference call takes, to plan the next case of this workload with.
        spent_s: seconds inside calls: first, warm-up, timed and reference ones.
        conditions: what the machine did meanwhile.
    """

    result: Any
    first_call_s: float
    warm_up: WarmUp | None
    turns: Turns | None
    rounds: list[float]
    reference_s: float | None
    spent_s: float
    conditions: Conditions = field(default_factory=lambda: Conditions([]))


def _unnoticed(phase: str) -> None:
    """Nobody wants to know."""


def reject(benchmark: Any) -> None:
    """Exclude a benchmark from the saved file (`has_error`) and from the table (`rejected`)."""
    benchmark.has_error = True
    benchmark.extra_info["rejected"] = True


def accept(benchmark: Any) -> None:
    """Take `reject` back."""
    benchmark.has_error = False
    benchmark.extra_info.pop("rejected", None)


def time_against(benchmark: Any, variant: Call, reference: Call, budget_s: float,
                 reference_s: float | None = None, observer: Observer | None = None,
                 entered: Entered = _unnoticed) -> Timing:
    """Warm both sides up, then time `variant` in turns with `reference` through `benchmark.pedantic`.

    pytest-benchmark calls `setup` and `teardown` outside of the timed window, once a round:
    https://pytest-benchmark.readthedocs.io/en/latest/pedantic.html

    Args:
        benchmark: the pytest-benchmark fixture of this test.
        variant, reference: calls without arguments that return when their work is finished.
        budget_s: seconds that warm-up and turns together aim at. Disturbed turns are taken again, twice at most.
        reference_s: seconds of a reference call, when an earlier case of this workload warmed it up.
        observer: of the turns, besides the one that reads the machine's counters.
        entered: told of the first call and of the timing, before each begins.
    """
    entered("first call")
    result, first_call_s = _first(variant)
    if not benchmark.enabled:
        return Timing(benchmark.pedantic(variant), first_call_s, None, None, [], None, first_call_s)
    entered("timing")
    began = time.perf_counter()
    if reference_s is None:
        reference_s = _warm(reference, budget_s).call_s
    warm = _warm(variant, budget_s)
    warmed_s = time.perf_counter() - began
    plan = schedule(warm.call_s, reference_s, budget_s - warmed_s)
    seen = [observer] if observer else []
    found = _take(benchmark, variant, lambda watch: Turns(variant, reference, plan, [watch, *seen]), plan.seconds)
    result, turns, conditions, rounds, taken_s = found
    return Timing(result, first_call_s, warm, turns, rounds, reference_s, first_call_s + warmed_s + taken_s, conditions)


def time_pairs(benchmark: Any, variant: Call, reference: Call, pairs: int, reference_s: float) -> Timing:
    """Time calls that are long, or many, in so many pairs of turns with the reference, each called once before.

    Args:
        reference_s: seconds of a reference call, which warmed it up.
    """
    result, first_call_s = _first(variant)
    if not benchmark.enabled:
        return Timing(benchmark.pedantic(variant), first_call_s, None, None, [], None, first_call_s)
    plan = schedule_of_pairs(first_call_s, reference_s, pairs)
    result, turns, conditions, rounds, taken_s = _take(
        benchmark, variant, lambda watch: Turns(variant, reference, plan, [watch]), plan.seconds)
    return Timing(result, first_call_s, None, turns, rounds, reference_s, first_call_s + taken_s, conditions)


def time_in_duet(benchmark: Any, call: Call, partner: "Partner", bench_id: str, budget_s: float) -> Timing:
    """Time `call` in turns with another commit's process, which is the reference: eager takes none.

    Args:
        benchmark: the pytest-benchmark fixture of this test.
        call: a call without arguments that returns when its work is finished.
        partner: the channel to the controller, which says when a turn begins.
        bench_id: identity of the benchmark on both sides.
        budget_s: as of `time_against`; only its share for warm-up counts, turns are the controller's.
    """
    _, first_call_s = _first(call)
    partner.wait_until_both_are_built(bench_id)
    warm = _warm(call, budget_s)
    rounds = partner.plan(bench_id, warm.call_s)
    result = _rounds(benchmark, call, rounds, lambda: partner.before_round(call), partner.after_round)
    taken = list(benchmark.stats.stats.data)
    partner.report(bench_id, taken)
    return Timing(result, first_call_s, warm, None, taken, None, first_call_s + warm.seconds + sum(taken))


def in_turns(partner: "Partner | None", benchmark: Any, bench_id: str, call: Call, reference: Call, budget_s: float,
             reference_s: float | None = None, observer: Observer | None = None,
             entered: Entered = _unnoticed) -> Timing:
    """Time a call in turns with its reference; in a duet with the other commit's process instead."""
    if partner is not None:
        return time_in_duet(benchmark, call, partner, bench_id, budget_s)
    return time_against(benchmark, call, reference, budget_s, reference_s, observer, entered)


def time_alone(benchmark: Any, variant: Call, budget_s: float, rounds: int | None = None,
               again: bool = True, entered: Entered = _unnoticed) -> Timing:
    """Time `variant` without a reference beside it: for calls too long for turns, and for series that are fitted.

    Args:
        benchmark: the pytest-benchmark fixture of this test.
        variant: a call without arguments that returns when its work is finished.
        budget_s: seconds that warm-up and rounds together aim at, when `rounds` is not given.
        rounds: timed rounds after one untimed call; None for as many as fit the budget, three at least, after a
            warm-up until steady.
        again: False where the time is not the result: disturbed rounds are not taken again.
        entered: as of `time_against`.
    """
    entered("first call")
    _, first_call_s = _first(variant)
    if not benchmark.enabled:
        return Timing(benchmark.pedantic(variant), first_call_s, None, None, [], None, first_call_s)
    entered("timing")
    warm, call_s = None, first_call_s
    if rounds is None:
        warm = _warm(variant, budget_s)
        call_s = warm.call_s
        rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, int((budget_s - warm.seconds) / call_s)))
    planned_s, count = max(budget_s, rounds * call_s), rounds
    result, _, conditions, timed, taken_s = _take(
        benchmark, variant, lambda watch: Series(count, planned_s, [watch]), planned_s, again)
    spent_s = first_call_s + (warm.seconds if warm else 0.0) + taken_s
    return Timing(result, first_call_s, warm, None, timed, None, spent_s, conditions)


def time_once(benchmark: Any, call: Call) -> Timing:
    """Time one call, not warmed up: where what it returns is the result, and its time is not."""
    start = time.perf_counter()
    with spent.during("timing"):
        result = benchmark.pedantic(call)
    spent_s = time.perf_counter() - start
    rounds = list(benchmark.stats.stats.data) if benchmark.enabled else []
    return Timing(result, spent_s, None, None, rounds, None, spent_s)


def _take(benchmark: Any, call: Call, plan: Callable[[Watch], Turns | Series], planned_s: float,
          again: bool = True) -> tuple[Any, Any, Conditions, list[float], float]:
    """Take a plan's rounds; again, MOST_REPEATS times at most, while its turns are disturbed.

    Returns:
        what the last timed call returned; the plan as it was taken; its conditions; seconds of each round; and the
        seconds inside calls, those of earlier attempts included.
    """
    attempts = _Attempts(benchmark, plan, OVERRUN * planned_s, MOST_REPEATS if again and not accepted() else 0)
    result = _rounds(benchmark, call, sys.maxsize, attempts.before_round, lambda: attempts.current.after_round())
    taken = attempts.current
    conditions = Conditions(attempts.watch.turns, attempts.repeats, taken.overrun)
    return result, taken, conditions, list(benchmark.stats.stats.data), attempts.earlier_s + taken.spent_s


class _Attempts:
    """Ends the rounds when the plan is finished and its turns can be used, or when no repeat is left."""

    def __init__(self, benchmark: Any, plan: Callable[[Watch], Turns | Series], most_s: float, repeats: int):
        self._benchmark = benchmark
        self._plan = plan
        self._most_s = most_s
        self._left = repeats
        self.repeats = 0
        self.earlier_s = 0.0
        self._begin()

    def _begin(self) -> None:
        self.watch = Watch()
        self.current = self._plan(self.watch)

    def before_round(self) -> None:
        if self.current.finished:
            spent_s = self.earlier_s + self.current.spent_s
            room = spent_s * (1 + 1 / (self.repeats + 1)) <= self._most_s
            if not (disturbed(self.watch.turns) and self.repeats < self._left and room):
                raise Finished
            self.earlier_s, self.repeats = spent_s, self.repeats + 1
            self._benchmark.stats.stats.data.clear()
            self._begin()
        self.current.before_round()


class _Kept:
    """A call that keeps what it returned: a loop that ends early returns nothing."""

    def __init__(self, call: Call):
        self._call = call
        self.result: Any = None

    def __call__(self) -> Any:
        self.result = self._call()
        return self.result


def _first(call: Call) -> tuple[Any, float]:
    """What a call returned, and its seconds."""
    kept = _Kept(call)
    with spent.during("warming_up"):
        seconds = seconds_of(kept)
    return kept.result, seconds


def _warm(call: Call, budget_s: float) -> WarmUp:
    with spent.during("warming_up"):
        return warm_up(call, warm_up_budget(budget_s))


def _rounds(benchmark: Any, call: Call, rounds: int, before: Call, after: Call) -> Any:
    """Time rounds of a call, until all are taken or `before` raises Finished; what the last one returned.

    What a round spends elsewhere is taken off it: pytest-benchmark has noted it when it calls `teardown`.
    """
    kept, had_error, elsewhere_s = _Kept(call), benchmark.has_error, 0.0

    def begin() -> None:
        nonlocal elsewhere_s
        before()
        elsewhere_s = elsewhere.spent_s()

    def end() -> None:
        benchmark.stats.stats.data[-1] -= elsewhere.spent_s() - elsewhere_s
        after()

    gc.collect()
    gc.disable()  # a collection would fall into rounds at random
    try:
        with spent.during("timing"):
            benchmark.pedantic(kept, rounds=rounds, setup=begin, teardown=end)
    except Finished:
        benchmark.has_error = had_error
    finally:
        gc.enable()
    return kept.result
