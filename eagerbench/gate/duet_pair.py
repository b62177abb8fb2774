"""One pair: two pytest sessions take turns inside each benchmark, or run one after the other (abba)."""

import contextlib
import math
import random
import time
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import median
from typing import Any

from eagerbench.gate.duet_side import BenchmarkFailed, Checkout, Side, SideFailed, start
from eagerbench.gate.duet_signals import uninterrupted
from eagerbench.machine.children import end_children

TURN_S = 0.12  # seconds of timed rounds in a turn, at least
LEAST_TURNS, MOST_TURNS = 4, 12  # by default
_BENCHMARK_S = 4.0  # seconds that both sides' turns in a benchmark aim at
_MOST_ROUNDS_PER_TURN = 2000
_SAME_ON_BOTH = ("threads", "usable_cores", "allocator", "hash_seed", "stack_bytes")
_SAME_WHERE_KNOWN = ("wait_policy",)  # older revisions do not say it
OVERRUN = 5  # times the planned seconds: then turns end early, where both sides can
_OTHER_FAILED = "the other side failed"
_NO_TEST_FAILED, _SOME_FAILED, _NOTHING_COLLECTED = 0, 1, 5


@dataclass
class Sessions:
    """What sessions have found, also when one of them is lost on the way.

    Attributes:
        turns: median round of each turn, seconds, by benchmark and side.
        failed: reason by benchmark.
        overrun: a sentence by benchmark, where turns took five times the planned seconds.
        machine_info: as pytest-benchmark describes the machine.
        models: what a benchmark was run on (`sameness.FIELDS` that are known), by side and benchmark.
    """

    turns: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    overrun: dict[str, str] = field(default_factory=dict)
    machine_info: dict[str, Any] = field(default_factory=dict)
    models: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How pairs are run.

    Attributes:
        arguments: of pytest.
        only: benchmarks to run; empty for all. Controls always run.
        allocator: what both sides must have in effect.
        seed: of the order inside turns.
        design: turns or abba.
        turns: most turns of each side in a benchmark.
        time_out_s: how long a side may be silent when it is due to speak.
        logs: directory for what the sessions print.
    """

    arguments: list[str]
    only: tuple[str, ...]
    allocator: str
    seed: int
    design: str
    turns: int
    time_out_s: float
    logs: Path


def run_pair(plan: Plan, index: int, arm: str, base: Checkout, other: Checkout) -> tuple[dict[str, Any], Sessions]:
    """Run one pair.

    Args:
        arm: head, or null when `other` is base again.

    Returns:
        the entry of `pairs` in a duet's file, and what the sessions found.
    """
    found = Sessions()
    reason = ""
    order = random.Random(f"{plan.seed}:{index}")
    try:
        if plan.design == "turns":
            _together(plan, [base, other], None, order, found)
        else:
            first, second = (base, other) if index % 2 == 0 else (other, base)
            _together(plan, [first], None, order, found)
            _together(plan, [second], list(found.turns), order, found)
    except SideFailed as lost:
        reason = str(lost)
    ratios = {bench_id: _ratio(sides[base.name], sides[other.name], found.overrun.get(bench_id))
              for bench_id, sides in found.turns.items()
              if len(sides) == 2 and bench_id not in found.failed}
    if not ratios and not reason:
        reason = "no benchmark ran on both sides" + "".join(f"; {name}: {why}" for name, why in found.failed.items())
    return {"index": index, "arm": arm, "valid": not reason, "reason": reason, "benchmarks": ratios,
            "failed": found.failed}, found


def _ratio(base: list[float], other: list[float], overrun: str | None = None) -> dict[str, Any]:
    turns = min(len(base), len(other))  # abba's sides plan theirs alone
    logs = [math.log(o / b) for b, o in zip(base[:turns], other[:turns], strict=True)]
    return {"log_ratio": median(logs), "turns": turns, "base_turns": base[:turns], "head_turns": other[:turns],
            **({"overrun": overrun} if overrun else {})}


def _together(plan: Plan, places: list[Checkout], expected: list[str] | None, order: random.Random,
              found: Sessions) -> None:
    """Run a session at each place, at the same time. `expected` is what an earlier session of the pair has run."""
    sides = start(places, plan.arguments, plan.logs, plan.time_out_s)
    try:
        agreed = _agree(plan, places, sides, expected, found)
        for bench_id in agreed:
            try:
                _benchmark(sides, bench_id, order, plan.turns, found)
            except SideFailed as lost:
                found.failed[bench_id] = str(lost)
                raise
        for side in sides:
            side.wait((_NO_TEST_FAILED, _SOME_FAILED) if agreed else (_NOTHING_COLLECTED,))
    finally:
        with uninterrupted():
            for side in sides:
                side.kill()
            end_children()


def _agree(plan: Plan, places: list[Checkout], sides: list[Side], expected: list[str] | None,
           found: Sessions) -> list[str]:
    """Check that the sides are alike, and tell them what to run."""
    hellos = [side.hear("hello") for side in sides]
    for place, side, hello in zip(places, sides, hellos, strict=True):
        _check(plan, place, side, hello, hellos[0])
    found.machine_info = hellos[0]["facts"]["machine_info"]
    offers = [hello["ids"] for hello in hellos] if expected is None else [expected, hellos[0]["ids"]]
    unknown = [name for name in plan.only if not any(name in offer for offer in offers)]
    if unknown and expected is None and len(sides) == 2:
        raise SideFailed(f"neither side has the benchmark {unknown[0]} (--only; `eagerbench list-cases` prints all)")
    strange = [hello["facts"].get("unknown_variants") or [] for hello in hellos]
    nowhere = [str(pattern) for pattern in strange[0] if all(pattern in patterns for patterns in strange)]
    if nowhere and len(sides) == 2:
        raise SideFailed(f"neither side has a variant {nowhere[0]} (`eagerbench list-cases` prints all)")
    offers = [[name for name in offer if not plan.only or name in plan.only or name.startswith("control/")]
              for offer in offers]
    first, last = offers[0], offers[-1]
    swapped = expected is not None and places[0].name == "base"  # abba, head went first
    vanished, new = ("new", "vanished") if swapped else ("vanished", "new")
    lacking = {name: vanished for name in first if name not in last} | {name: new for name in last if name not in first}
    found.failed = lacking | found.failed  # what failed in abba's first session is not lacking
    agreed = [name for name in first if name in last]
    for side in sides:
        side.send("run", ids=agreed)
    return agreed


def _check(plan: Plan, place: Checkout, side: Side, hello: dict[str, Any], first: dict[str, Any]) -> None:
    """Raises SideFailed when this side's hello is malformed, or when its surroundings differ from the first's."""
    facts, ids = hello.get("facts"), hello.get("ids")
    if not (isinstance(facts, dict) and isinstance(facts.get("machine_info"), dict) and isinstance(ids, list)
            and all(isinstance(name, str) for name in ids)):
        raise SideFailed(f"{side.name} sent garbage at its start: {str(hello)[:60]!r}")
    mine, other = ({**said["facts"]["machine_info"], **said["facts"]} for said in (hello, first))
    if Path(mine.get("code", "")) != place.directory.resolve():
        raise SideFailed(f"{side.name} imports the project from {mine.get('code')}, not from {place.directory}: "
                         "another copy comes first on its sys.path (PYTHONPATH?)")
    if mine.get("allocator") != plan.allocator:
        raise SideFailed(f"{side.name}: allocator {mine.get('allocator')}, not {plan.allocator}; pin it, or give "
                         "--allocator system for both sides (then expect several percent of noise)")
    known = [fact for fact in _SAME_WHERE_KNOWN if None not in (mine.get(fact), other.get(fact))]
    for fact in (*_SAME_ON_BOTH, *known):
        if mine.get(fact) != other.get(fact):
            raise SideFailed(f"{side.name}: {fact} is {mine.get(fact)} and {other.get(fact)} on the other side")


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
    for side in sides:
        side.resume()
        if taken < turns:
            side.send("enough")
    reports = {side.name: _medians(side, bench_id, taken, rounds_per_turn) for side in sides}
    shortest = min(shortest for _, shortest in reports.values())
    if shortest < rounds_per_turn:
        said = f"calls became slower than in the warm-up: turns of {shortest} rounds, {rounds_per_turn} planned"
        found.overrun[bench_id] = "; ".join(filter(None, [found.overrun.get(bench_id), said]))
    return {name: medians for name, (medians, _) in reports.items()}


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
