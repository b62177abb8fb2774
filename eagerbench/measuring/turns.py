"""Turns: rounds of a variant and of the reference alternate in short blocks.

A turn is one untimed call, which brings the working set back into the caches, then timed calls for at least
TURN_S. A pair is a turn of the reference and the following turn of the variant; each pair gives one ratio of
neighbouring moments, so that a slow minute of the machine slows both sides.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Protocol

from eagerbench.machine import elsewhere
from eagerbench.machine.readings import other_threads_running
from eagerbench.measuring.disturbance import overran
from eagerbench.shown import count

TURN_S = 0.1
LEAST_PAIRS, MOST_PAIRS = 3, 40
MOST_ROUNDS_PER_TURN = 2000  # reached by calls under 50 µs only: no model, but the harness's own no-op
MOST_SETTLE_S = 0.25
LONG_S = 0.15
_SETTLE_STEP_S = 0.001
_WARMUP_SHARE = 0.25  # of the time budget
_STEADY = 0.03  # two successive windows of calls agree within this share
_WINDOW_S = 0.05

Call = Callable[[], object]


class Finished(Exception):
    """Ends the loop of `benchmark.pedantic`, which takes a fixed number of rounds only."""


class Observer(Protocol):
    """Looks at the machine between timed calls. `side` is `variant` or `reference`."""

    def begin(self) -> None:
        """The first turn is about to come; what was seen before does not count."""

    def before_turn(self) -> None: ...

    def after_round(self, side: str) -> None: ...

    def after_turn(self, side: str, pair: int, rounds: int) -> None:
        """`pair`: number of the pair, from 0; `rounds`: timed calls in the turn."""


@dataclass
class WarmUp:
    """How a side was warmed up: calls, seconds, whether it became steady, and its seconds a call at the end."""

    calls: int
    seconds: float
    steady: bool
    call_s: float


def warm_up(call: Call, budget_s: float) -> WarmUp:
    """Call until the medians of two successive windows of 50 ms (one call at least) agree or `budget_s` is over."""
    start = time.perf_counter()
    calls, windows = 0, []
    while True:
        window, began = [], time.perf_counter()
        while not window or time.perf_counter() - began < _WINDOW_S:
            window.append(seconds_of(call))
        calls += len(window)
        windows.append(median(window))
        spent = time.perf_counter() - start
        steady = len(windows) > 1 and abs(windows[-1] / windows[-2] - 1) < _STEADY
        if steady or spent >= budget_s:
            return WarmUp(calls, spent, steady, windows[-1])


@dataclass(frozen=True)
class Schedule:
    """How many pairs of turns fit a budget: `pairs` of `rounds_per_turn` variant rounds each.

    Attributes:
        turn_s: seconds that a turn of the variant takes.
        seconds: all turns of both sides together.
        touch: whether a turn begins with an untimed call.
    """

    pairs: int
    rounds_per_turn: int
    turn_s: float = math.inf
    seconds: float = math.inf
    touch: bool = True

    @property
    def rounds(self) -> int:
        return self.pairs * self.rounds_per_turn


@dataclass
class Turns:
    """Runs the reference's turns between the variant's rounds.

    Give `before_round` to `benchmark.pedantic(setup=…)`: it decides when a turn is over, and `after_round` as
    `teardown`. The variant's own rounds are timed by pytest-benchmark, the reference's here by the same clock.
    A turn that overruns its plan fivefold ends, and the next ones are planned by what its calls took.

    Attributes:
        reference_rounds: seconds of each reference round, in order.
        reference_turns, variant_turns: number of rounds in each turn, in order.
        spent_s: seconds inside variant and reference calls, untimed ones included.
        replanned: how many turns overran.
    """

    variant: Call
    reference: Call
    schedule: Schedule
    observers: Sequence[Observer] = ()
    reference_rounds: list[float] = field(default_factory=list)
    reference_turns: list[int] = field(default_factory=list)
    variant_turns: list[int] = field(default_factory=list)
    spent_s: float = 0.0
    replanned: int = 0
    _round_began: float = 0.0
    _turn_s: float = 0.0
    _open: bool = False

    def __post_init__(self) -> None:
        self._rounds_per_turn = self.schedule.rounds_per_turn
        self._planned_turn_s = max(TURN_S, self.schedule.turn_s)
        for observer in self.observers:
            observer.begin()

    def before_round(self) -> None:
        if not self._open:
            self._reference_turn()
            self._begin_turn()
            self.variant_turns.append(0)
            self._turn_s = seconds_of(self.variant) if self.schedule.touch else 0.0
            self.spent_s += self._turn_s
            self._open = True
        self.variant_turns[-1] += 1
        self._round_began = time.perf_counter()

    def after_round(self) -> None:
        seconds = time.perf_counter() - self._round_began
        self.spent_s += seconds
        self._turn_s += seconds
        for observer in self.observers:
            observer.after_round("variant")
        rounds = self.variant_turns[-1]
        over = overran(self._turn_s, self._planned_turn_s)
        if rounds < self._rounds_per_turn and not over:
            return
        self._end_turn("variant", rounds)
        self._open = False
        if over and rounds < self._rounds_per_turn:
            self.replanned += 1
            self._rounds_per_turn = max(1, math.ceil(TURN_S * (rounds + 1) / self._turn_s))

    @property
    def finished(self) -> bool:
        """Whether every planned pair is taken, or, after a whole pair, the plan's seconds were overrun fivefold."""
        return not self._open and len(self.variant_turns) > 0 and (
            len(self.variant_turns) >= self.schedule.pairs or overran(self.spent_s, self.schedule.seconds))

    @property
    def overrun(self) -> str:
        """What became of the plan, where it was not kept."""
        said = []
        if len(self.variant_turns) < self.schedule.pairs:
            said.append(f"ended after {len(self.variant_turns)} of {count(self.schedule.pairs, 'pair')} of turns: "
                        f"{self.spent_s:.3g} s where {self.schedule.seconds:.3g} were planned")
        if self.replanned:
            said.append(f"calls became slower than in the warm-up: {count(self.replanned, 'turn')} planned again")
        return "; ".join(said)

    def _reference_turn(self) -> None:
        self._begin_turn()
        self.spent_s += seconds_of(self.reference) if self.schedule.touch else 0.0
        rounds, turn_s = 0, 0.0
        while turn_s < TURN_S:
            self.reference_rounds.append(seconds_of(self.reference))
            turn_s += self.reference_rounds[-1]
            rounds += 1
            for observer in self.observers:
                observer.after_round("reference")
        self.spent_s += turn_s
        self.reference_turns.append(rounds)
        self._end_turn("reference", rounds)

    def _begin_turn(self) -> None:
        settle()
        for observer in self.observers:
            observer.before_turn()

    def _end_turn(self, side: str, rounds: int) -> None:
        for observer in self.observers:
            observer.after_turn(side, len(self.reference_turns) - 1, rounds)


@dataclass
class Series:
    """Rounds of the variant alone: `benchmark.pedantic` calls `before_round` and `after_round` as those of `Turns`.

    What observers call a turn are the rounds of TURN_S, each a pair of its own.

    Attributes:
        rounds: how many are planned.
        seconds: planned for all of them.
        observed: turns so far.
    """

    rounds: int
    seconds: float
    observers: Sequence[Observer] = ()
    spent_s: float = 0.0
    taken: int = 0
    observed: int = 0
    _round_began: float = 0.0
    _turn_s: float = 0.0
    _in_turn: int = 0

    def before_round(self) -> None:
        if not self._in_turn:
            for observer in self.observers:
                observer.before_turn()
        self._round_began = time.perf_counter()

    def after_round(self) -> None:
        seconds = time.perf_counter() - self._round_began
        self.spent_s += seconds
        self._turn_s += seconds
        self._in_turn += 1
        self.taken += 1
        if self._turn_s >= TURN_S or self.finished:
            for observer in self.observers:
                observer.after_turn("variant", self.observed, self._in_turn)
            self.observed += 1
            self._in_turn, self._turn_s = 0, 0.0

    @property
    def finished(self) -> bool:
        return self.taken >= self.rounds or (self.taken > 0 and overran(self.spent_s, self.seconds))

    @property
    def overrun(self) -> str:
        if self.taken >= self.rounds:
            return ""
        return (f"ended after {self.taken} of {count(self.rounds, 'round')}: {self.spent_s:.3g} s where "
                f"{self.seconds:.3g} were planned")


def settle() -> None:
    """Wait until no other thread of this process spins, for MOST_SETTLE_S at most.

    ONNX Runtime's threads spin for tens of milliseconds after a call, on a core that the other side's turn needs.
    """
    until = time.perf_counter() + MOST_SETTLE_S
    while other_threads_running() and time.perf_counter() < until:
        time.sleep(_SETTLE_STEP_S)


def schedule(variant_s: float, reference_s: float, budget_s: float) -> Schedule:
    """Plan pairs of turns from the seconds a call takes on each side.

    The variant gets at least as many rounds as fill TURN_S, and more when its calls are long, so that the
    reference (one untimed call and a turn) takes no more than half of a pair.
    """
    reference_turn = reference_s * (1 + math.ceil(TURN_S / reference_s))
    rounds = max(1, math.ceil(TURN_S * 1.05 / variant_s), math.ceil(reference_turn / variant_s) - 1)
    rounds = min(rounds, MOST_ROUNDS_PER_TURN)
    pair_s = reference_turn + (rounds + 1) * variant_s
    pairs = min(MOST_PAIRS, max(LEAST_PAIRS, int(budget_s / pair_s)))
    return Schedule(pairs, rounds, (rounds + 1) * variant_s, pairs * pair_s)


def schedule_of_pairs(variant_s: float, reference_s: float, pairs: int) -> Schedule:
    """A plan with a fixed number of pairs. Calls of LONG_S and more alternate one by one: bringing their working set
    back is a small part of them, and an untimed call before each would double what they take."""
    if min(variant_s, reference_s) < LONG_S:
        plan = schedule(variant_s, reference_s, 0.0)
        return replace(plan, pairs=pairs, seconds=plan.seconds * pairs / plan.pairs)
    return Schedule(pairs, 1, variant_s, pairs * (variant_s + reference_s), touch=False)


def warm_up_budget(budget_s: float) -> float:
    return _WARMUP_SHARE * budget_s


def seconds_of(call: Call) -> float:
    """Of a call, without those that it spends elsewhere (`machine.elsewhere`)."""
    elsewhere_s, start = elsewhere.spent_s(), time.perf_counter()
    call()
    return time.perf_counter() - start - (elsewhere.spent_s() - elsewhere_s)
