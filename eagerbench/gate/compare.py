"""`eagerbench compare`: saved files, old with new, as far as such files can be judged.

Tier 2, one machine, seven files a side and more, started in turns: exact Mann–Whitney test on the medians of
processes. Tier 3, one machine, fewer files: the ratio beside the recorded spread of processes. Tier 4, two machines:
not judged. (Tier 1, the duet, is judged by `gate`.)
"""

import argparse
import math
from dataclasses import asdict, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from eagerbench import jsonfile
from eagerbench.gate import noise_floor
from eagerbench.results import fingerprint, records, sameness
from eagerbench.results.records import Bench, Run
from eagerbench.shown import say

LEAST_FILES = 7  # a side: 24 benchmarks at once can be told from chance
LONGEST_STREAK = 3  # of files of one side in a row that still counts as started in turns
BAND = 2 * math.sqrt(2)  # times the spread of one process: where the ratio of two processes of the same code lies
TIERS = {2: "same machine, processes in turns", 3: "same machine, few files", 4: "another machine"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "eagerbench compare [options] OLD.json NEW.json | OLD… --with NEW…"
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE",
                        help="an old and a new file; with --with only old files or directories of them")
    parser.add_argument("--with", dest="new", type=Path, nargs="+", metavar="NEW", help="new files or directories")
    parser.add_argument("--noise-floor", type=Path, metavar="FILE", help="noise floor that `calibrate` wrote")
    parser.add_argument("--strict", action="store_true", help="exit 3 when inconclusive")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")


def run(chosen: argparse.Namespace) -> int:
    from eagerbench.gate import comparison_report
    from eagerbench.results import grid

    old, new = (chosen.files, chosen.new) if chosen.new else (chosen.files[:1], chosen.files[1:])
    if not new or (not chosen.new and len(new) > 1):
        say("give two files, or old files --with new files", error=True)
        return 2
    floors = noise_floor.read(chosen.noise_floor) if chosen.noise_floor else None
    found = compare(records.load_all(old), records.load_all(new), floors, chosen.strict)
    grids = comparison_report.grids(found)
    grid.show(grids, chosen.markdown)
    return found["exit_code"]


def compare(old: list[Run], new: list[Run], floors: dict[str, Any] | None = None,
            strict: bool = False) -> dict[str, Any]:
    """What changed from the old to the new files, as JSON-ready data.

    Raises:
        UnreadableFile: a file on both sides, or no benchmark in common.
    """
    unusable = {bench: one.unusable for run in (*old, *new) for bench, one in run.benchmarks.items() if one.unusable}
    old, new = ([_usable(run) for run in side] for side in (old, new))
    names = [dict.fromkeys(bench for run in side for bench in run.benchmarks) for side in (old, new)]
    there = {run.file.resolve() for run in old}
    for run in new:
        jsonfile.refuse(run.file, ["is on both sides"] if run.file.resolve() in there else [])
    failed = {bench: reason for run in new for bench, (status, reason) in run.cells.items() if status == "failed"}
    common = [bench for bench in names[0] if bench in names[1]]
    if not common and not failed and not unusable:
        jsonfile.refuse(new[0].file, [f"no benchmark in common with {old[0].file}: files of two suites?"])
    tier, why, differing = _tier(old, new)
    before, after = _by_name(old), _by_name(new)
    meanings = {bench: sameness.changed(one.meaning for one in (*before[bench], *after[bench]))
                for bench in common}
    changed = {bench: reason for bench, (reason, _) in meanings.items() if reason}
    same = [bench for bench in common if bench not in changed]
    rows = [_row(bench, before[bench], after[bench]) for bench in same]
    if tier == 2:
        rows = _tested(rows, before, after, new[0].machine, floors)
    elif tier == 3:
        machines = [run.machine for run in (*old, *new)]
        rows = [_against_band(row, floors, machines) for row in rows]
    rows += [{**_row(bench, before[bench], after[bench]), "floor": None, "reason": reason}
             for bench, reason in changed.items()]
    known = {**names[1], **failed, **unusable}
    skipped = {bench: reason for run in new for bench, (status, reason) in run.cells.items() if status == "skipped"}
    unreadable = {bench: f"{run.file}: {reason}" for run in [*old, *new] for bench, reason in run.unreadable.items()}
    lost = {bench: unreadable.get(bench, "") for bench in names[0] if bench not in known}
    found = {
        "tier": tier, "tier_name": TIERS[tier], "why": why, "differences": differing,
        "floor_differences": fingerprint.why_not_the_same(floors["machine"], new[0].machine) if floors else [],
        "files": {"old": [str(run.file) for run in old], "new": [str(run.file) for run in new]},
        "benchmarks": rows, "failed": failed, "changed": changed,
        "noted": {bench: said for bench, (reason, said) in meanings.items() if said and not reason},
        "vanished": {bench: skipped.get(bench) or reason for bench, reason in lost.items()},
        "new": [bench for bench in names[1] if bench not in {**names[0], **unusable}], "unusable": unusable,
        "unreadable": unreadable,
    }
    return {**found, **_outcome(found, strict)}


def _usable(run: Run) -> Run:
    """Without times that say nothing, because other work disturbed them."""
    if not any(one.unusable for one in run.benchmarks.values()):
        return run
    return replace(run, benchmarks={bench: one for bench, one in run.benchmarks.items() if not one.unusable})


def _by_name(runs: list[Run]) -> dict[str, list[Bench]]:
    """Each benchmark of every run that has it."""
    found: dict[str, list[Bench]] = {}
    for run in runs:
        for bench, one in run.benchmarks.items():
            found.setdefault(bench, []).append(one)
    return found


def _tier(old: list[Run], new: list[Run]) -> tuple[int, str, list[str]]:
    machine = old[0].machine
    runs = [*old, *new]
    unlike = list(dict.fromkeys(line for run in runs for line in fingerprint.differences(machine, run.machine)))
    merged = [run.file for run in (*old, *new) if run.several_machines]
    if merged:
        return 4, f"{merged[0]} was merged from files of several machines", unlike
    if fingerprint.differ(run.machine for run in runs):
        return 4, "what they were measured on differs", unlike
    if not all(run.machine for run in runs):
        return 4, "a file does not say what it was measured on", unlike
    if unknown := fingerprint.unknown(run.machine for run in runs):
        return 3, f"nothing says that it was one machine: unknown is {', '.join(unknown)}", unlike
    if min(len(old), len(new)) < LEAST_FILES:
        return 3, f"{len(old)} old and {len(new)} new files; from {LEAST_FILES} a side on there is a test", []
    streak = _longest_streak(old, new)
    if streak > LONGEST_STREAK:
        seen = "unknown times" if streak == math.inf else f"{streak} of one side in a row"
        return 3, f"not started in turns ({seen}): a slow hour would look like a slow commit", []
    return 2, f"{len(old)} old and {len(new)} new files, started in turns", []


def _longest_streak(old: list[Run], new: list[Run]) -> float:
    try:
        started = sorted([(datetime.fromisoformat(run.when).timestamp(), side)
                          for side, runs in ((0, old), (1, new)) for run in runs])
    except (ValueError, OverflowError, OSError):
        return math.inf
    longest = streak = 1
    for (_, before), (_, side) in pairwise(started):
        streak = streak + 1 if side == before else 1
        longest = max(longest, streak)
    return longest


def _row(bench: str, old: list[Bench], new: list[Bench]) -> dict[str, Any]:
    before, after = (median(one.median_s for one in side) for side in (old, new))
    return {
        "id": bench, "status": "NOT JUDGED", "reason": "", "old_s": before, "new_s": after,
        "old_files": len(old), "new_files": len(new), "ratio": after / before,
        "low": None, "high": None, "p": None, "p_adjusted": None,
        "old_speedup": _speedup(old), "new_speedup": _speedup(new),
    }


def _speedup(found: list[Bench]) -> dict[str, Any] | None:
    """Times faster than eager in its own run; with an interval when there is one run only."""
    ratios = [one.speedup for one in found if one.speedup is not None]
    if not ratios:
        return None
    alone = found[0] if len(found) == 1 else Bench(1.0)
    return {"value": median(ratios), "low": alone.speedup_low, "high": alone.speedup_high}


def _tested(rows: list[dict], old: dict[str, list[Bench]], new: dict[str, list[Bench]], machine: dict[str, str],
            floors: dict | None) -> list[dict]:
    import numpy as np

    from eagerbench.gate.judge import THRESHOLDS
    from eagerbench.statistics import hochberg, rank_sum_p, shift_interval

    common = [row["id"] for row in rows]
    limits = {bench: noise_floor.floor_of(bench, floors, machine) for bench in common}
    logs = {bench: tuple(np.log([one.median_s for one in side[bench]]) for side in (old, new)) for bench in common}
    judged = [bench for bench in common if limits[bench].floor is not None
              and min(map(len, logs[bench])) >= LEAST_FILES]
    p_values = [rank_sum_p(logs[bench][0] + math.log1p(limits[bench].margin), logs[bench][1]) for bench in judged]
    tests = dict(zip(judged, zip(p_values, hochberg(p_values), strict=True), strict=True)) if judged else {}
    for row in rows:
        estimate, low, high = shift_interval(*logs[row["id"]], THRESHOLDS.confidence)
        row |= {"ratio": math.exp(estimate), "low": None if low is None else math.exp(low),
                "high": None if high is None else math.exp(high),
                **asdict(limits[row["id"]])}
        if row["id"] in tests:
            row["p"], row["p_adjusted"] = tests[row["id"]]
            row |= _status(row, THRESHOLDS.alpha)
        else:
            row |= {"status": "UNKNOWN", "reason": row["source"] if row["floor"] is None else
                    f"in fewer than {LEAST_FILES} files of a side"}
    return rows


def _status(row: dict[str, Any], alpha: float) -> dict[str, str]:
    if row["p_adjusted"] <= alpha and row["ratio"] >= 1 + row["floor"]:
        return {"status": "REGRESSED", "reason": f"at least {row['floor']:.0%} slower"}
    if row["high"] is not None and row["high"] < 1 + row["floor"]:
        return {"status": "IMPROVED" if row["high"] < 1 / (1 + row["margin"]) else "OK", "reason": ""}
    return {"status": "INCONCLUSIVE", "reason": "these files do not tell it from the floor"}


def _against_band(row: dict[str, Any], floors: dict[str, Any] | None,
                  machines: list[dict[str, str]]) -> dict[str, Any]:
    recorded = (floors or {"benchmarks": {}})["benchmarks"].get(row["id"], {}).get("process_spread")
    if recorded is None:
        return {**row, "reason": "no spread of processes recorded (calibrate, --noise-floor)"}
    if fingerprint.unknown(machines):
        return {**row, "reason": "it is not known whether this was one machine"}
    if elsewhere := noise_floor.recorded_elsewhere(floors, machines[-1]):
        return {**row, "reason": f"the spread was {elsewhere}"}
    band = math.exp(BAND * recorded)
    row |= {"band": band}
    if 1 / band <= row["ratio"] <= band:
        return {**row, "status": "INSIDE", "reason": f"two processes of the same code differ by up to {band - 1:.1%}"}
    word = "slower" if row["ratio"] > 1 else "faster"
    return {**row, "status": "OUTSIDE",
            "reason": f"{word} than processes of the same code differ ({band - 1:.1%}): run a duet"}


def _outcome(found: dict[str, Any], strict: bool) -> dict[str, Any]:
    statuses = {row["status"] for row in found["benchmarks"]}
    if "REGRESSED" in statuses:
        return {"outcome": "REGRESSED", "exit_code": 1}
    if found["failed"] or found["vanished"]:
        return {"outcome": "BROKEN", "exit_code": 4}
    if found["tier"] == 4 or len(found["changed"]) == len(found["benchmarks"]):
        return {"outcome": "NOT COMPARABLE", "exit_code": 3}
    if found["unreadable"]:  # the others are judged, and what was left out is no pass
        return {"outcome": "INCOMPLETE", "exit_code": 3}
    if found["tier"] == 3:
        return {"outcome": "NOT JUDGED", "exit_code": 0}
    if "INCONCLUSIVE" in statuses:
        return {"outcome": "INCONCLUSIVE", "exit_code": 3 if strict else 0}
    if statuses <= {"UNKNOWN", "NOT JUDGED"}:  # a pass would be a verdict on nothing
        return {"outcome": "UNKNOWN", "exit_code": 3}
    return {"outcome": "OK", "exit_code": 0}
