"""The noise floor: how much duets of the same code scatter, and the smallest slowdown that each benchmark can show."""

import argparse
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eagerbench import jsonfile
from eagerbench.gate import pairs
from eagerbench.gate.stages import SUITE
from eagerbench.results import fingerprint
from eagerbench.shown import count, say

FORMAT = "eagerbench-noise-floor/1"
LEAST_PAIRS = 6  # that a spread is computed from
_UNKNOWN_SPREAD = 99.0  # one pair a duet: nothing is known
LEAST_DUETS = 3  # that a floor below the default needs: one duet does not show what differs between sessions
DEFAULT = (0.05, 0.02)
# Floor, margin, largest spread of a pair, largest spread between duets. Up to the first spread, 3 % slowdowns are found
# in 80 % of runs, up to the second 5 % ones in 95 % (docs/gate-simulation.md); above the third there is little left to
# find. A bias that stays as long as the session does must be five times below the floor: no pair of it shows.
TIERS = ((0.02, 0.005, 0.0125, 0.004), (0.03, 0.010, 0.015, 0.006), (0.05, 0.020, 0.035, 0.010))


@dataclass(frozen=True)
class Floor:
    """What a benchmark is gated on; `floor` and `margin` are None when it is not.

    Attributes:
        floor: the smallest slowdown that is red, as a share.
        margin: the slowdown that the test allows for.
        source: where they come from, or why there are none.
    """

    floor: float | None
    margin: float | None
    source: str


def floor_of(bench: str, floors: dict[str, Any] | None, machine: dict[str, str]) -> Floor:
    """The floor of a benchmark on the machine of that fingerprint: the default, or more, if recorded on another."""
    if floors is None:
        return Floor(*DEFAULT, "default")
    recorded = floors["benchmarks"].get(bench)
    if whose := _owner(floors["machine"], machine):
        floor, margin = (recorded or {}).get("floor") or 0.0, (recorded or {}).get("margin") or 0.0
        return Floor(max(floor, DEFAULT[0]), max(margin, DEFAULT[1]), f"calibrated on {whose}: not below the default")
    if recorded is None:
        return Floor(None, None, "no entry in the noise floor: run `eagerbench calibrate`")
    if recorded["floor"] is None:
        return Floor(None, None, f"too noisy to gate: pairs of the same code scatter by {recorded['spread']:.1%}")
    return Floor(recorded["floor"], recorded["margin"], "calibrated")


def _owner(recorded: dict[str, str], machine: dict[str, str]) -> str:
    """Empty where it is this machine."""
    if fingerprint.differ([recorded, machine]):
        return "another machine"
    return "a machine of which too little is known" if fingerprint.unknown([recorded, machine]) else ""


def recorded_elsewhere(floors: dict[str, Any], machine: dict[str, str]) -> str:
    """That a noise floor is not known to be of this machine, and what is not the same; empty when it is."""
    lines = fingerprint.why_not_the_same(floors["machine"], machine)
    more = f" and {len(lines) - 2} more" if len(lines) > 2 else ""
    return f"recorded on {_owner(floors['machine'], machine)} ({'; '.join(lines[:2])}{more})" if lines else ""


def read(file: Path) -> dict[str, Any]:
    """A checked `noise-floor.json`.

    Raises:
        UnreadableFile: with a line for each problem.
    """
    content = jsonfile.read_object(file)
    check(file, content)
    return content


def check(file: Path | str, content: Any) -> None:
    jsonfile.refuse(file, list(jsonfile.schema_problems(content, "gate/noise-floor.schema.json")))
    jsonfile.refuse(file, [f"{bench}: {problem}" for bench, entry in content["benchmarks"].items()
                           for problem in _problems(entry)])


def _problems(entry: dict[str, Any]) -> Iterator[str]:
    floor, margin = entry["floor"], entry["margin"]
    if (floor is None) != (margin is None):
        yield "a floor without a margin"
    elif floor is not None and not margin < floor:
        yield f"its margin {margin} is not below its floor {floor}"


def calibrate(files: list[Path], duets: list[pairs.Duet], digests: list[str]) -> dict[str, Any]:
    """The noise floor that same-code pairs show: null arms, and head arms where both sides are one revision.

    Raises:
        UnreadableFile: another machine than the first file's, or no same-code pair.
    """
    machine = fingerprint.of(duets[0]["machine_info"])
    logs: dict[str, list[list[float]]] = {}  # by benchmark and duet
    seconds: dict[str, list[float]] = {}
    for file, duet in zip(files, duets, strict=True):
        other = fingerprint.differences(machine, fingerprint.of(duet["machine_info"]))
        jsonfile.refuse(file, [f"another machine than {files[0]} ({other[0]}): calibrate each apart"] if other else [])
        for bench, values in _same_code(duet).items():
            logs.setdefault(bench, []).append(values)
        for bench, values in _process_seconds(duet).items():
            seconds.setdefault(bench, []).extend(values)
    if not logs:
        jsonfile.refuse(files[0], ["no valid pair of the same code in it: run `eagerbench duet` with equal "
                                   "revisions, or with a null arm"])
    enough = {bench: by_duet for bench, by_duet in sorted(logs.items()) if sum(map(len, by_duet)) >= LEAST_PAIRS}
    jsonfile.refuse(files[0], [] if enough else [f"no benchmark has {LEAST_PAIRS} pairs of the same code: take more"])
    return {
        "format": FORMAT,
        "machine": machine,
        "provenance": [{"file": file.name, "sha256": digest, "started": duet["started"],
                        "base": duet["base"]["revision"], "head": duet["head"]["revision"], "seed": duet["seed"],
                        "design": duet["design"], "pairs": sum(pair["valid"] for pair in duet["pairs"])}
                       for file, duet, digest in zip(files, duets, digests, strict=True)],
        "benchmarks": {bench: _calibrated(by_duet, seconds.get(bench, [])) for bench, by_duet in enough.items()},
    }


def _same_code(duet: pairs.Duet) -> dict[str, list[float]]:
    alike = all(duet["base"][key] == duet["head"][key] for key in ("revision", "python")) and duet["base"]["revision"]
    other = {bench for bench, changes in pairs.meanings([duet]).items() if any(changes)}
    found: dict[str, list[float]] = {}
    for pair in duet["pairs"]:
        if pair["valid"] and (alike or pair["arm"] == "null"):
            ratios = {bench: float(ratio["log_ratio"]) for bench, ratio in pair["benchmarks"].items()
                      if not bench.startswith(pairs.CONTROL) and (pair["arm"] == "null" or bench not in other)}
            if len(ratios) > 1:
                ratios[SUITE] = float(np.mean(list(ratios.values())))
            for bench, value in ratios.items():
                found.setdefault(bench, []).append(value)
    return found


def _process_seconds(duet: pairs.Duet) -> dict[str, list[float]]:
    """The median turn of every base process: how far whole sessions differ."""
    found: dict[str, list[float]] = {}
    for pair in duet["pairs"]:
        if pair["valid"]:
            for bench, ratio in pair["benchmarks"].items():
                found.setdefault(bench, []).append(median(ratio["base_turns"]))
    return found


def _calibrated(by_duet: list[list[float]], seconds: list[float]) -> dict[str, Any]:
    """Spreads are standard deviations of logs; that of a pair is pooled over the duets, each around its own mean."""
    within = sum(float(np.var(values)) * len(values) for values in by_duet)
    freedom = sum(len(values) - 1 for values in by_duet)
    spread = math.sqrt(within / freedom) if freedom else _UNKNOWN_SPREAD
    between = None
    if len(by_duet) > 1:  # of the duets' means, less what the pairs within a duet explain
        explained = float(np.mean([spread**2 / len(values) for values in by_duet]))
        between = math.sqrt(max(0.0, float(np.var([np.mean(values) for values in by_duet], ddof=1)) - explained))
    floor, margin = _tier(spread, between, len(by_duet))
    return {
        "pairs": sum(map(len, by_duet)),
        "duets": len(by_duet),
        "spread": spread,
        "spread_between_duets": between,
        "median_ratio": math.exp(median([value for values in by_duet for value in values])),
        "process_spread": float(np.std(np.log(seconds), ddof=1)) if len(seconds) > 1 else None,
        "floor": floor,
        "margin": margin,
    }


def _tier(spread: float, between: float | None, duets: int) -> tuple[float | None, float | None]:
    for floor, margin, most_spread, most_between in TIERS:
        tight = floor < DEFAULT[0]
        if spread <= most_spread and (between or 0.0) <= most_between and (duets >= LEAST_DUETS or not tight):
            return floor, margin
    return None, None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="DUET.json",
                        help="duets of the same code on one machine")
    parser.add_argument("-o", "--output", type=Path, default=Path("noise-floor.json"),
                        help="file to write (default: %(default)s)")


def run(chosen: argparse.Namespace) -> int:
    duets = [pairs.read(file) for file in chosen.files]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in chosen.files]
    jsonfile.refuse(chosen.output, ["the same file twice: give each duet once"] if len(set(digests)) < len(digests)
                    else [])
    content = calibrate(chosen.files, duets, digests)
    jsonfile.write(chosen.output, content)
    for bench, entry in content["benchmarks"].items():
        gated = "not gated: too noisy" if entry["floor"] is None else f"floor {entry['floor']:.0%}"
        between = entry["spread_between_duets"]
        spreads = f"spread {entry['spread']:.2%}" + ("" if between is None else f", {between:.2%} between duets")
        say(f"{bench}: {count(entry['pairs'], 'pair')} of {count(entry['duets'], 'duet')}, {spreads}: {gated}")
    say(f"wrote {chosen.output}: {count(len(content['benchmarks']), 'benchmark')}")
    return 0
