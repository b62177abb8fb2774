"""The verdict on two commits, as a pure function of duet files and a noise floor.

Screen: six pairs a benchmark; a ratio of 1 + 0.6 f and more makes a suspect. Confirm: fresh pairs of the suspects;
REGRESSED needs the exact signed-rank test against "at most m slower", adjusted by Hochberg over the suspects, a ratio
of 1 + f, and a clean null arm and control. The process is the unit: one number a pair and benchmark.
"""

import math
import platform
from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np

from eagerbench.gate import noise_floor, pairs
from eagerbench.gate.noise_floor import Floor
from eagerbench.gate.pairs import Duet
from eagerbench.gate.stages import (
    SUITE,
    THRESHOLDS,
    Stage,
    Thresholds,
    controls,
    measured,
    most,
    note_contamination,
    null_ratio,
    stage_of,
)
from eagerbench.results import fingerprint
from eagerbench.statistics import exact_interval, hochberg, lower_bound, signed_rank_p

FORMAT = "eagerbench-verdict/1"
UNSETTLED = "these pairs do not tell it from the floor"
MOST_PAIRS = 1000  # a larger number that would settle it is no advice


def pairs_to_confirm(suspects: int, thresholds: Thresholds = THRESHOLDS) -> int:
    """Pairs after which each of `suspects` could still be told from chance: max(10, ⌈log2(S / α)⌉ + 2)."""
    return max(thresholds.confirm_pairs, math.ceil(math.log2(max(suspects, 1) / thresholds.alpha)) + 2)


def judge(duets: list[Duet], floors: dict[str, Any] | None = None, strict: bool = False) -> dict[str, Any]:
    """The verdict, ready for JSON.

    Args:
        duets: checked contents of duet files of the same two revisions (`pairs.read`, `pairs.together`).
        floors: content of a `noise-floor.json`; without it every benchmark has the default floor.
        strict: an inconclusive verdict has exit code 3.
    """
    meanings = pairs.meanings(duets)
    changed = {bench: reason for bench, (reason, _) in meanings.items() if reason}
    kept = pairs.without(duets, changed)
    stages = {name: stage_of([duet for duet in kept if duet["stage"] == name]) for name in ("screen", "confirm")}
    screen, confirm = stages["screen"], stages["confirm"]
    whole = set(measured(screen)) <= confirm.head.keys()  # the mean of some of them is not the suite's
    for stage, complete in ((screen, True), (confirm, whole)):
        note_contamination(stage, complete)
    machines = [fingerprint.of(duet["machine_info"]) for duet in duets]  # confirmed elsewhere: as if all were
    machine = next((one for one in machines if floors and one != floors["machine"]), machines[0])
    elsewhere = fingerprint.why_not_the_same(floors["machine"], machine) if floors else []
    limits = {bench: noise_floor.floor_of(bench, floors, machine) for bench in measured(screen, confirm)}
    limits |= _suite_floor(screen, limits, floors, machine) or _suite_floor(confirm, limits, floors, machine)
    entries = {bench: _screened(bench, floor, screen) for bench, floor in limits.items() if bench in screen.head}
    suspects = [bench for bench, entry in entries.items() if entry["status"] in ("SUSPECT", "CONTAMINATED")]
    if not screen.head:  # only the confirming run was given: everything in it is meant
        suspects = [bench for bench, floor in limits.items() if floor.floor is not None]
        entries = {bench: _unknown(bench, floor) for bench, floor in limits.items() if floor.floor is None}
    if confirm.head:
        again = [bench for bench in suspects if bench in confirm.head and (whole or bench != SUITE)]
        entries |= _confirmed(again, limits, confirm, entries, len(suspects))
        if SUITE in suspects and not whole:
            entries[SUITE] |= {"status": "INCONCLUSIVE", "reason": "the suspects in it were measured again, it was not"}
    verdict = {
        "format": FORMAT,
        "benchmarks": list(entries.values()),
        "stages": {name: {"pairs": most(stage.head), "null_pairs": most(stage.null),
                          "contaminated": stage.contaminated, "missing": stage.missing,
                          "controls": controls(stage.head), "null_ratio": null_ratio(stage)}
                   for name, stage in stages.items() if stage.head or stage.null},
        **_lists(duets),
        "changed": changed,
        "floor_differences": elsewhere,
        "noted": {bench: said for bench, (reason, said) in meanings.items() if said and not reason},
    }
    return {**verdict, **_outcome(verdict, strict, all(map(pairs.finished, duets))), "next": _next(verdict, stages),
            "thresholds": asdict(THRESHOLDS), "strict": strict, "seeds": [duet["seed"] for duet in duets],
            "versions": {"judge": 3, "python": platform.python_version(), "numpy": np.__version__},
            "noise_floor": floors, "duets": duets}


def _suite_floor(stage: Stage, limits: dict[str, Floor], floors: dict[str, Any] | None,
                 machine: dict[str, str]) -> dict[str, Floor]:
    """The suite's own calibrated floor, or the widest of its members."""
    known = [floor for floor in limits.values() if floor.floor is not None]
    if SUITE not in stage.head or not known:
        return {}
    own = noise_floor.floor_of(SUITE, floors, machine)
    return {SUITE: own if own.floor is not None else max(known, key=lambda floor: floor.floor)}


def _entry(bench: str, stage_name: str, floor: Floor, stage: Stage) -> dict[str, Any]:
    logs = stage.head[bench]
    estimate, low, high = exact_interval(logs, THRESHOLDS.confidence)
    null = stage.null.get(bench)
    return {
        "id": bench, "stage": stage_name, "status": "", "reason": "", "pairs": len(logs), **asdict(floor),
        "ratio": math.exp(estimate), "low": _exp(low), "high": _exp(high),
        "null_ratio": math.exp(exact_interval(null)[0]) if null else None, "null_pairs": len(null or ()),
        "p": None, "p_adjusted": None, "could_show": None, "pairs_to_settle": None, "screen_ratio": None,
    }


def _unknown(bench: str, floor: Floor) -> dict[str, Any]:
    return {"id": bench, "stage": "confirm", "status": "UNKNOWN", "reason": floor.source, **asdict(floor)}


def _screened(bench: str, floor: Floor, stage: Stage) -> dict[str, Any]:
    entry = _entry(bench, "screen", floor, stage)
    if floor.floor is None:
        return {**entry, "status": "UNKNOWN", "reason": floor.source}
    threshold = THRESHOLDS.screen_share * floor.floor
    if entry["low"] is not None:
        entry["could_show"] = (1 + floor.floor) * entry["ratio"] / entry["low"]  # of just the floor, half are found
    if stage.contaminated:
        return {**entry, "status": "CONTAMINATED", "reason": "; ".join(stage.contaminated)}
    if entry["ratio"] >= 1 + threshold:
        return {**entry, "status": "SUSPECT", "reason": "to be confirmed by fresh pairs"}
    return _settled(entry, floor, entry["low"])


def _confirmed(benches: list[str], limits: dict[str, Floor], stage: Stage, screened: dict[str, dict],
               members: int) -> dict[str, dict[str, Any]]:
    """Entries of the benchmarks measured afresh. A suspect that was not stays in the family, with p = 1."""
    logs = {bench: np.array(stage.head[bench]) - math.log1p(limits[bench].margin) for bench in benches}
    p_values = [signed_rank_p(logs[bench]) for bench in benches]
    adjusted = hochberg([*p_values, *[1.0] * (members - len(benches))])
    found = {}
    for bench, p, p_adjusted in zip(benches, p_values, adjusted, strict=False):
        entry = _entry(bench, "confirm", limits[bench], stage)
        entry |= {"p": p, "p_adjusted": p_adjusted, "screen_ratio": screened.get(bench, {}).get("ratio")}
        found[bench] = _judged(entry, limits[bench], stage, logs[bench], members)
    return found


def _judged(entry: dict[str, Any], floor: Floor, stage: Stage, logs: np.ndarray, members: int) -> dict[str, Any]:
    bound = lower_bound(logs, THRESHOLDS.alpha / members)
    surely = None if bound is None else math.exp(bound) * (1 + floor.margin)  # head is slower by this at least
    if surely is not None and entry["low"] is not None:
        least = max(1 + floor.floor, (1 + floor.margin) * entry["ratio"] / surely)
        entry["could_show"] = least * entry["ratio"] / entry["low"]
    if stage.contaminated:
        return {**entry, "status": "CONTAMINATED", "reason": "; ".join(stage.contaminated)}
    if entry["p_adjusted"] > THRESHOLDS.alpha or entry["ratio"] < 1 + floor.floor:
        return _settled(entry, floor, surely)
    if stage.missing or not entry["null_pairs"]:
        reason = "; ".join(stage.missing) or "it has no pair of base against base"
        return {**entry, "status": "INCONCLUSIVE", "reason": f"slower, but there is {reason}"}
    if abs(math.log(entry["null_ratio"])) >= THRESHOLDS.null_share * math.log(entry["ratio"]):
        moved = f"base against base moved by {entry['null_ratio'] - 1:+.1%} here"
        return {**entry, "status": "CONTAMINATED", "reason": moved}
    return {**entry, "status": "REGRESSED", "reason": f"at least {floor.floor:.0%} slower"}


def _settled(entry: dict[str, Any], floor: Floor, surely: float | None) -> dict[str, Any]:
    """OK when the interval excludes a slowdown of the floor; else inconclusive, with what would settle it."""
    if entry["high"] is not None and entry["high"] < 1 + floor.floor:
        faster = entry["high"] < 1 / (1 + floor.margin)
        return {**entry, "status": "IMPROVED" if faster else "OK"}
    return {**entry, "status": "INCONCLUSIVE", "pairs_to_settle": _pairs_to_settle(entry, floor, surely),
            "reason": UNSETTLED}


def _pairs_to_settle(entry: dict[str, Any], floor: Floor, surely: float | None) -> int | None:
    """Pairs at which the interval, narrowing by their root, would leave out what the estimate lies apart from.

    None when that is more than 1,000: the ratio is the floor itself, as far as anyone can tell.
    """
    pairs, log_ratio = entry["pairs"], math.log(entry["ratio"])
    if entry["high"] is None:
        return pairs_to_confirm(1)
    if entry["ratio"] < 1 + floor.floor:
        width, distance = math.log(entry["high"]) - log_ratio, math.log1p(floor.floor) - log_ratio
    elif surely is None:
        return max(pairs_to_confirm(1), pairs + 1)
    else:
        width, distance = log_ratio - math.log(surely), log_ratio - math.log1p(floor.margin)
    if distance <= 0 or pairs * (width / distance) ** 2 > MOST_PAIRS:
        return None
    return max(pairs + 1, math.ceil(pairs * (width / distance) ** 2))


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)


def _lists(duets: list[Duet]) -> dict[str, Any]:
    """Vanished, new, failed and broken benchmarks, and the pairs that were lost.

    Broken is what failed in head and not in base, in two pairs (or the only one): a failure of base, of both, or once
    (out of memory, a time-out) is reported and is no verdict on head.
    """
    failed = [(bench, reason) for duet in duets for pair in duet["pairs"] for bench, reason in pair["failed"].items()]
    lost = [f"{duet['stage']} pair {pair['index']} ({pair['arm']}): {pair['reason'] or 'no reason given'}"
            for duet in duets for pair in duet["pairs"] if not pair["valid"]]
    return {
        "vanished": sorted({bench for bench, reason in failed if reason == "vanished"}),
        "new": sorted({bench for bench, reason in failed if reason == "new"}),
        "failed": {bench: reason for bench, reason in failed if reason not in ("vanished", "new")},
        "broken": _broken(duets),
        "lost_pairs": lost,
    }


def _broken(duets: list[Duet]) -> list[str]:
    heads = [pair for duet in duets for pair in duet["pairs"] if pair["arm"] == "head"]
    counts = Counter(bench for pair in heads for bench, reason in pair["failed"].items() if reason.startswith("head"))
    return sorted(bench for bench, count in counts.items() if count >= min(2, len(heads)))


def _outcome(verdict: dict[str, Any], strict: bool, finished: bool) -> dict[str, Any]:
    """The word and the exit code. A regression goes first: another code must not hide it."""
    statuses = {entry["status"] for entry in verdict["benchmarks"]}
    if "REGRESSED" in statuses:
        return {"outcome": "REGRESSED", "exit_code": 1}
    if verdict["broken"] or verdict["vanished"]:
        return {"outcome": "BROKEN", "exit_code": 4}
    if any(stage["contaminated"] for stage in verdict["stages"].values()) or "CONTAMINATED" in statuses:
        return {"outcome": "CONTAMINATED", "exit_code": 3}
    if not statuses:
        return {"outcome": "NOT COMPARABLE", "exit_code": 3}
    if not finished:  # suspects that nobody could confirm are not cleared by that
        return {"outcome": "GIVEN UP", "exit_code": 3}
    if statuses == {"UNKNOWN"}:  # a pass would be a verdict on nothing
        return {"outcome": "UNKNOWN", "exit_code": 3}
    if "SUSPECT" in statuses:  # slower, as far as is known: neither red nor a pass
        return {"outcome": "SUSPECT", "exit_code": 3}
    if "INCONCLUSIVE" in statuses:
        return {"outcome": "INCONCLUSIVE", "exit_code": 3 if strict else 0}
    return {"outcome": "OK", "exit_code": 0}


def _next(verdict: dict[str, Any], stages: dict[str, Stage]) -> dict[str, Any] | None:
    """What to measure to confirm the suspects. The whole suite when only its mean is one: beside others it is their
    shadow, and all of it would take ten times as long."""
    suspects = [entry["id"] for entry in verdict["benchmarks"] if entry["status"] == "SUSPECT"]
    if not suspects:
        return None
    alone = [bench for bench in suspects if bench != SUITE]
    return {"stage": "confirm", "benchmarks": alone or measured(stages["screen"]),
            "pairs": pairs_to_confirm(len(suspects))}
