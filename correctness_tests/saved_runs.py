"""Saved files of a suite of five benchmarks, drawn, and their comparison."""

import math

import numpy as np
from analysis_files import benchmark_file, saved

from eagerbench.gate.compare import compare
from eagerbench.results import records

NAMES = [f"b{index}" for index in range(5)]


def runs(tmp_path, side: str, count: int, seed: int, slow: dict[str, float] | None = None, change=lambda rounds: rounds,
         spread: float = 0.005, minute: int = 0, step: int = 10, **more):
    """`count` files, started every `step` minutes from `minute` on."""
    rng = np.random.default_rng(seed)
    files = []
    for index in range(count):
        rounds = {name: list(np.exp(rng.normal(math.log(0.01 * (1 + (slow or {}).get(name, 0))), spread)
                                    + rng.normal(0, 0.01, 9))) for name in NAMES}
        minutes = minute + index * step
        when = f"2026-11-25T{2 + minutes // 60:02}:{minutes % 60:02}:00+00:00"
        content = benchmark_file({name: change(data) for name, data in rounds.items()}, when, **more)
        files.append(saved(tmp_path, f"{side}{index}.json", content))
    return files


def compared(old, new, *arguments, **keywords) -> dict:
    return compare(records.load_all(old), records.load_all(new), *arguments, **keywords)


def status(found: dict) -> dict[str, str]:
    return {row["id"]: row["status"] for row in found["benchmarks"]}
