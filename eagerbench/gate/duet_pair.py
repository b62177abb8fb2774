"""One pair: two pytest sessions take turns inside each benchmark, or run one after the other (abba)."""

import contextlib
import math
import random
import time
from itertools import accumulate, pairwise
from statistics import median
from typing import Any

from eagerbench.gate.duet_agree import agree
from eagerbench.gate.duet_cores import on_the_same_cores
from eagerbench.gate.duet_lost import Lost, one_by_one
from eagerbench.gate.duet_sessions import Plan, Sessions
from eagerbench.gate.duet_side import BenchmarkFailed, Checkout, Side, SideFailed, start
from eagerbench.gate.duet_signals import uninterrupted
from eagerbench.machine.children import end_children

TURN_S = 0.12  # seconds of timed rounds in a turn, at least
LEAST_TURNS, MOST_TURNS = 4, 12  # by default
_BENCHMARK_S = 4.0  # seconds that both sides' turns in a benchmark aim at
_MOST_ROUNDS_PER_TURN = 2000
OVERRUN = 5  # times the planned seconds: then turns end early, where both sides can
_OTHER_FAILED = "the other side failed"
_NO_TEST_FAILED, _SOME_FAILED, _NOTHING_COLLECTED = 0, 1, 5


def run_pair(plan: Plan, index: int, arm: str, base: Checkout, other: Checkout,
             lost: Lost) -> tuple[dict[str, Any], Sessions]:
    """Run one pair.

    Args:
        arm: head, or null when `other` is base again.
        lost: by the pairs so far; this one is added.

    Returns:
        the entry of `pairs` in a duet's file, and what the sessions found.
    """
    began, found = time.monotonic(), Sessions(failed=lost.given_up(arm))
    given_up, reason = set(found.failed), ""
    order = random.Random(f"{plan.seed}:{index}")

    def run(places: list[Checkout], expected: list[str] | None) -> None:
        one_by_one(lambda over: _together(plan, places, expected, order, found, over), set(given_up), found)

    def base_alone(bench_id: str) -> str:
        alone = Sessions()
        with contextlib.suppress(SideFailed):  # it cannot start: that says nothing of the benchmark
            _together(plan, [base], [bench_id], order, alone, set())
        return alone.failed.get(bench_id, "")

    try:
        if plan.design == "turns":
            run([base, other], None)
        else:
            first, second = (base, other) if index % 2 == 0 else (other, base)
            run([first], None)
            run([second], list(found.turns))
    except SideFailed as failed:
        reason = str(failed)
    lost.note(arm, found, base_alone)
    ratios = {bench_id: _ratio(sides[base.name], sides[other.name], found.overrun.get(bench_id),
                               found.cores.get(bench_id))
              for bench_id, sides in found.turns.items()
              if len(sides) == 2 and bench_id not in found.failed}
    if not ratios and not reason:
        reason = "no benchmark ran on both sides" + "".join(f"; {name}: {why}" for name, why in found.failed.items())
    return {"index": index, "arm": arm, "valid": not reason, "reason": reason, "benchmarks": ratios,
            "failed": found.failed, "seconds": time.monotonic() - began, "spent": found.spent,
            **({"restarts": found.restarts} if found.restarts else {})}, found


def _ratio(base: list[float], other: list[float], overrun: str | None = None,
           cores: list[int] | None = None) -> dict[str, Any]:
    turns = min(len(base), len(other))  # abba's sides plan theirs alone
    logs = [math.log(o / b) for b, o in zip(base[:turns], other[:turns], strict=True)]
    return {"log_ratio": median(logs), "turns": turns, "base_turns": base[:turns], "head_turns": other[:turns],
            **({"overrun": overrun} if overrun else {}), **({"cores": cores} if cores else {})}


def _together(plan: Plan, places: list[Checkout], expected: list[str] | None, order: random.Random,
              found: Sessions, over: set[str]) -> SideFailed | None:
    """Run a session at each place, at the same time.

    Args:
        expected: what an earlier session of the pair has run.
        over: benchmarks not to run; each that runs is added.

    Returns:
        how a side was lost at a benchmark, where others are left.
    """
    sides = start(places, plan.arguments, plan.logs, plan.time_out_s)
    try:
        agreed = agree(plan, places, sides, expected, found, over)
        for bench_id in agreed:
            over.add(bench_id)
            try:
                _benchmark(sides, bench_id, order, plan.turns, found)
            except SideFailed as lost:
                found.failed[bench_id] = found.lost[bench_id] = str(lost)
                found.turns.pop(bench_id, None)
                return lost if bench_id != agreed[-1] else None
        for side in sides:
            side.wait((_NO_TEST_FAILED, _SOME_FAILED) if agreed else (_NOTHING_COLLECTED,))
    finally:
        with uninterrupted():
            for side in sides:
                side.kill()
                found.note_spent(side.name, side.spent)
            end_children()
    return None


def _benchmark(sides: list[Side], bench_id: str, order: random.Random, most_turns: int, found: Sessions) -> None:
    """Build on all sides, warm up and time in turns, hear how the tests end: outputs are judged after timing."""
    turns: dict[str, list[float]] = {}
    with contextlib.suppress(BenchmarkFailed):  # its reason is told below, with the other side's
        for side in sides:
            side.hear("ready", bench_id)
        turns = _take_turns(sides, bench_id, order, most_turns, found)
    for side in sides:
        side.resume()
    reasons = {side.name: side.finish(bench_id, None if turns else _OTHER_FAILED) for side in sides}
    told = [f"{name}: {reason}" for name, reason in reasons.items() if reason not in (None, _OTHER_FAILED)]
    if told or not turns:
        found.failed[bench_id] = "; ".join(told) or "no side took its turns"
        found.turns.pop(bench_id, None)
    else:
        found.turns.setdefault(bench_id, {}).update(turns)
        for side in sides:
            found.models.setdefault(side.name, {})[bench_id] = side.models.get(bench_id, {})


def _take_turns(sides: list[Side], bench_id: str, order: random.Random, most_turns: int,
                found: Sessions) -> dict[str, list[float]]:
    """Median round of each turn, in seconds, by side. One side works at a time, and the others stand still."""
    for side in sides:
        side.stop()
    with on_the_same_cores([side.pid for side in sides], found.machine_info.get("threads"), order,
                           found.cores.get(bench_id)) as cores:
        if cores:
            found.cores[bench_id] = cores
        planned, taken, rounds_per_turn = _turns(sides, bench_id, order, most_turns, found)
    for side in sides:
        side.resume()
        if taken < planned:
            side.send("enough")
    reports = {side.name: _medians(side, bench_id, taken, rounds_per_turn) for side in sides}
    shortest = min(shortest for _, shortest in reports.values())
    if shortest < rounds_per_turn:
        said = f"calls became slower than in the warm-up: turns of {shortest} rounds, {rounds_per_turn} planned"
        found.overrun[bench_id] = "; ".join(filter(None, [found.overrun.get(bench_id), said]))
    return {name: medians for name, (medians, _) in reports.items()}


def _turns(sides: list[Side], bench_id: str, order: random.Random, most_turns: int,
           found: Sessions) -> tuple[int, int, int]:
    """How many turns were planned and taken, and the rounds in each."""
    calls, flexible = [], True
    for side in order.sample(sides, len(sides)):
        with side.awake():
            side.send("warm")
            said = side.hear("warm", bench_id)
            calls.append(_seconds(side, said.get("call_s")))
            flexible = flexible and said.get("can_end_early") is True
    turns, rounds_per_turn = schedule(calls, most_turns)
    for side in sides:
        side.send("plan", turns=turns, rounds_per_turn=rounds_per_turn, may_end_early=flexible)
    firsts = [turn % 2 == 0 for turn in range(turns)]  # each side is first equally often
    began, planned_s, taken = time.monotonic(), turns * (rounds_per_turn + 1) * sum(calls), 0
    for reverse in order.sample(firsts, turns):
        spent_s = time.monotonic() - began
        if flexible and taken and spent_s > OVERRUN * planned_s:
            found.overrun[bench_id] = f"ended after {taken} of {turns} turns: {spent_s:.3g} s, {planned_s:.3g} planned"
            break
        for side in reversed(sides) if reverse else sides:
            with side.awake():
                side.send("go")
                side.hear("turn", bench_id)
        taken += 1
    return turns, taken, rounds_per_turn


def _medians(side: Side, bench_id: str, turns: int, rounds_per_turn: int) -> tuple[list[float], int]:
    """The median of each turn that a side reports, as long as planned or as it says; and the shortest length."""
    said = side.hear("timed", bench_id)
    rounds, lengths = said.get("rounds"), said.get("lengths") or [rounds_per_turn] * turns
    if not (isinstance(rounds, list) and isinstance(lengths, list) and len(lengths) == turns
            and all(isinstance(length, int) and length > 0 for length in lengths) and len(rounds) == sum(lengths)):
        raise SideFailed(f"{side.name} sent garbage at {bench_id}: not {turns} turns of {rounds_per_turn} rounds")
    ends = list(accumulate(lengths, initial=0))
    rounds = [_seconds(side, value) for value in rounds]
    return [median(rounds[first:last]) for first, last in pairwise(ends)], min(lengths)


def _seconds(side: Side, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise SideFailed(f"{side.name} sent garbage: {str(value)[:40]} seconds")
    return float(value)


def schedule(calls: list[float], most_turns: int = MOST_TURNS) -> tuple[int, int]:
    """How many turns, and rounds in each, from the seconds that a call takes on each side.

    The faster side fills TURN_S; slow calls get fewer turns.
    """
    rounds_per_turn = min(_MOST_ROUNDS_PER_TURN, math.ceil(TURN_S / min(calls)))
    both_s = (rounds_per_turn + 1) * sum(calls) * 2 / len(calls)
    return min(most_turns, max(LEAST_TURNS, int(_BENCHMARK_S / both_s))), rounds_per_turn
