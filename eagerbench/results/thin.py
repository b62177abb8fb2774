"""Drops raw rounds, to make a file small enough to commit that still shows the medians of its turns."""

import json
from typing import Any

from eagerbench.results import older

STEPS = (50, 25, 15, 9, 5, 3)  # rounds that a turn keeps, at most


def thinned(content: dict[str, Any], most_bytes: int) -> dict[str, Any]:
    """The content of a benchmark file with as many rounds a turn as fit into `most_bytes` of JSON, three at least.

    A turn keeps rounds at equal ranks from its fastest to its slowest, in their order: its median stays to within a
    rank. Statistics and ratios are those of all rounds. `thinned` in `eagerbench`, and `thinned_from_rounds` in a
    record, say what was done; a file that fits is returned as it is.
    """
    if _size(content) <= most_bytes:
        return content
    for most in STEPS:
        made = {**content, "benchmarks": [_thin(bench, most) for bench in content["benchmarks"]]}
        made["eagerbench"] = {**(content.get("eagerbench") or {}), "thinned": {"rounds_per_turn": most}}
        if _size(made) <= most_bytes:
            break
    return made


def _size(content: dict[str, Any]) -> int:
    return len(json.dumps(content, indent=1, ensure_ascii=False).encode())


def _thin(bench: dict[str, Any], most: int) -> dict[str, Any]:
    record, stats = bench.get("extra_info") or {}, bench["stats"]
    timing = older.topic(record, "timing")
    rounds, turns = stats.get("data") or [], timing.get("variant_turns")
    if turns is None:
        kept = _keep(rounds, most * len(STEPS))
    else:
        kept, turns = _keep_turns(rounds, turns, most)
    changed = {"thinned_from_rounds": len(rounds)} if len(kept) < len(rounds) else {}
    if turns is not None:
        changed["variant_turns"] = turns
        changed["reference_rounds"], changed["reference_turns"] = _keep_turns(
            timing["reference_rounds"], timing["reference_turns"], most)
    return {**bench, "stats": {**stats, "data": kept}, "extra_info": older.with_fields(record, "timing", changed)}


def _keep_turns(rounds: list[float], turns: list[int], most: int) -> tuple[list[float], list[int]]:
    kept, counts, start = [], [], 0
    for count in turns:
        turn = _keep(rounds[start:start + count], most)
        start += count
        kept += turn
        counts.append(len(turn))
    return kept, counts


def _keep(rounds: list[float], most: int) -> list[float]:
    """Rounds at equal ranks, the fastest, the median and the slowest among them, in the order that they ran."""
    if len(rounds) <= most:
        return rounds
    by_time = sorted(range(len(rounds)), key=rounds.__getitem__)
    ranks = {round(index * (len(rounds) - 1) / (most - 1)) for index in range(most)}
    return [rounds[index] for index in sorted(by_time[rank] for rank in ranks)]
