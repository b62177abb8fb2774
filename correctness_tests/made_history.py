"""Entries of a history for tests: their ratios are given or drawn, not measured."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from eagerbench.history import store
from eagerbench.history.entry import Entry
from eagerbench.results import machines

FIRST = datetime(2026, 10, 1, 2, 0, tzinfo=UTC)
ZEN = {"system": "Linux", "release": "6.1", "machine": "x86_64", "python_version": "3.12.1", "usable_cores": 2,
       "python_implementation": "CPython", "threads": 2, "packages": {"torch": "2.12.0", "numpy": "2.4.6"},
       "cpu": {"brand_raw": "Made Zen", "count": 2, "flags": ["avx2", "fma", "avx512_bf16", "mmx"]}}
XEON = {**ZEN, "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
        "cpu": {"brand_raw": "Made Xeon", "count": 2, "flags": ["avx2", "fma", "avx512_bf16", "amx_tile", "amx_bf16"]}}


def made(day: int, ratios: Mapping[str, float], info: Mapping[str, Any] = ZEN, commit: str = "", **more: Any) -> Entry:
    """An entry of that day after the first, a commit of its own a day."""
    points = {bench: {"ratio": ratio, "low": ratio / 1.01, "high": ratio * 1.01, "median_s": 0.01 / ratio,
                      "tolerance": "exact-math"} for bench, ratio in ratios.items()}
    return msgspec.convert({"started": (FIRST + timedelta(days=day)).isoformat(), "anchor": "eager",
                            "commit": {"id": commit or f"{day + 1:040x}", "branch": "main"}, "points": points,
                            "hardware": machines.hardware(info), "software": machines.software(info), **more}, Entry)


def drawn(seed: int, days: int, slow: Mapping[str, tuple[int, float]] = {}, benches: int = 4,
          spread: float = 0.01, **more: Any) -> list[Entry]:
    """A run a day of benchmarks `m/v0/b1/s8/cpu` …; `slow` has the day from which one is slower, and by what share."""
    rng = np.random.default_rng(seed)
    names = [f"m/v{index}/b1/s8/cpu" for index in range(benches)]
    found = []
    for day in range(days):
        ratios = {}
        for name in names:
            since, share = slow.get(name, (days, 0.0))
            ratios[name] = 2 * math.exp(rng.normal(0, spread)) / (1 + share if day >= since else 1)
        found.append(made(day, ratios, **more))
    return found


def kept(directory: Path, entries: Sequence[Entry]) -> Path:
    """The folder, with these entries in it."""
    for entry in entries:
        store.add(directory, entry)
    return directory
