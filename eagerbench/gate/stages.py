"""The two stages of a gate: results of their valid pairs, and contamination."""

import math
from dataclasses import dataclass, field

import numpy as np

from eagerbench.gate.pairs import CONTROL, Duet
from eagerbench.statistics import exact_interval

SUITE = "suite/geometric-mean"


@dataclass(frozen=True)
class Thresholds:
    """What decides. Ratios are head / base."""

    alpha: float = 0.01
    confidence: float = 0.95
    screen_share: float = 0.6  # of the floor: what makes a suspect
    screen_pairs: int = 6
    confirm_pairs: int = 10  # at least
    control: float = 0.02  # a control that moves more than this, with an interval without 1, and
    null: float = 0.01  # a null arm that moves more than this over all benchmarks, contaminate
    null_pairs: int = 3  # fewer are no null arm
    null_share: float = 0.5  # a benchmark's own null arm that moved this part of what head did explains too much of it


THRESHOLDS = Thresholds()
_LEAST_POOL = 3  # benchmarks


@dataclass
class Stage:
    """The valid pairs of one stage.

    Attributes:
        head, null: log ratios by bench_id, in the order of the pairs; each arm has the suite's mean as SUITE.
        contaminated: why nothing measured here can be judged.
        missing: evidence that a red verdict would need.
    """

    head: dict[str, list[float]] = field(default_factory=dict)
    null: dict[str, list[float]] = field(default_factory=dict)
    contaminated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def stage_of(duets: list[Duet]) -> Stage:
    stage = Stage()
    for arm, found in (("head", stage.head), ("null", stage.null)):
        pairs = [pair["benchmarks"] for duet in duets for pair in duet["pairs"] if pair["valid"] and pair["arm"] == arm]
        for bench in dict.fromkeys(bench for pair in pairs for bench in pair):
            found[bench] = [float(pair[bench]["log_ratio"]) for pair in pairs if bench in pair]
        everywhere = [bench for bench, logs in found.items() if len(logs) == len(pairs) and not is_control(bench)]
        if len(everywhere) > 1:
            found[SUITE] = [float(np.mean([pair[bench]["log_ratio"] for bench in everywhere])) for pair in pairs]
    return stage


def note_contamination(stage: Stage, whole: bool, thresholds: Thresholds = THRESHOLDS) -> None:
    """Note what spoils a stage.

    The null arm of the suite is judged where the stage is `whole`, and has benchmarks enough for a mean: a few pairs of
    one or two scatter by more than the limit, and each suspect answers to its own null arm anyway.
    """
    for name, moved in controls(stage.head).items():
        surely = moved["low"] is None or not moved["low"] <= 1 <= moved["high"]  # else the control only scatters
        if surely and abs(math.log(moved["ratio"])) > math.log1p(thresholds.control):
            stage.contaminated.append(f"{name} moved by {moved['ratio'] - 1:+.1%}, more than {thresholds.control:.0%}")
    null = null_ratio(stage)
    pooled = whole and sum(not is_control(bench) and bench != SUITE for bench in stage.null) >= _LEAST_POOL
    if pooled and abs(math.log(null)) > math.log1p(thresholds.null):
        stage.contaminated.append(f"base against base moved by {null - 1:+.1%}, more than {thresholds.null:.0%}")
    if most(stage.null) < thresholds.null_pairs:
        stage.missing.append(f"fewer than {thresholds.null_pairs} pairs of base against base")
    if not any(is_control(bench) for bench in stage.head):
        stage.missing.append("no control benchmark")


def is_control(bench: str) -> bool:
    return bench.startswith(CONTROL)


def controls(arm: dict[str, list[float]]) -> dict[str, dict[str, float | None]]:
    """How far each control moved, in the processes that the verdict is about: ratio, and low and high of its interval.

    Low and high are None with fewer than 6 pairs.
    """
    found = {bench: exact_interval(logs) for bench, logs in arm.items() if is_control(bench)}
    return {bench: {name: None if value is None else math.exp(value)
                    for name, value in zip(("ratio", "low", "high"), values, strict=True)}
            for bench, values in found.items()}


def null_ratio(stage: Stage) -> float | None:
    """Base against base over all benchmarks."""
    benches = [bench for bench in stage.null if not is_control(bench)]
    pooled = SUITE if SUITE in benches else benches[0] if benches else None
    return math.exp(exact_interval(stage.null[pooled])[0]) if pooled else None


def most(arm: dict[str, list[float]]) -> int:
    return max(map(len, arm.values()), default=0)


def measured(*stages: Stage) -> list[str]:
    return list(dict.fromkeys(bench for stage in stages for bench in stage.head
                              if not is_control(bench) and bench != SUITE))
