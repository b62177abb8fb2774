"""Duet and pytest-benchmark files for tests: their times are given, not measured."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from made_records import made

from eagerbench.cli import main
from eagerbench.results import older
from eagerbench.results.record import to_json

MACHINE = {"system": "Linux", "release": "6.1", "machine": "x86_64", "python_version": "3.12.1",
           "python_implementation": "CPython", "cpu": {"brand_raw": "Some CPU", "count": 2}, "threads": 2}
CONTROLS = ("control/matmul", "control/copy")


def ratio(log_ratio: float, turns: int = 3) -> dict:
    base = [0.01 * (1 + 0.1 * turn) for turn in range(turns)]
    head = [seconds * math.exp(log_ratio) for seconds in base]
    logs = sorted(math.log(slow / fast) for slow, fast in zip(head, base, strict=True))
    return {"log_ratio": logs[turns // 2], "turns": turns, "base_turns": base, "head_turns": head}


def pair(index: int, arm: str, ratios: dict[str, float], **changes) -> dict:
    return {"index": index, "arm": arm, "valid": True, "reason": "",
            "benchmarks": {bench: ratio(value) for bench, value in ratios.items()}, "failed": {}, **changes}


def duet(pairs: list[dict], stage: str = "screen", **changes) -> dict:
    side = {"directory": "/some/where", "python": "/some/python"}
    return {"format": "eagerbench-duet/1", "base": {"revision": "aaaa", **side},
            "head": {"revision": "bbbb", **side}, "seed": 1, "design": "turns", "stage": stage,
            "machine_info": MACHINE, "started": "2026-11-25T02:00:00+00:00", "command": ["pytest"], "pairs": pairs,
            **changes}


def drawn(seed: int, slow: dict[str, float], stage: str = "screen", pairs: int = 6, null_pairs: int = 4,
          benches: int = 5, spread: float = 0.005, control: float = 0.0, null: float = 0.0, **changes) -> dict:
    """A duet of `benches` benchmarks named `b0`…: Gaussian noise, `slow` has the log slowdown of some of them."""
    rng = np.random.default_rng(seed)
    names = [f"b{index}" for index in range(benches)]
    made = []
    for arm, count in (("head", pairs), ("null", null_pairs)):
        for index in range(count):
            shift = null if arm == "null" else 0.0
            ratios = {name: float(rng.normal(slow.get(name, 0.0) if arm == "head" else shift, spread))
                      for name in names}
            ratios |= {name: float(rng.normal(control, spread)) for name in CONTROLS}
            made.append(pair(index, arm, ratios))
    return duet(made, stage, **changes)


def saved(directory: Path, name: str, content: dict) -> Path:
    file = directory / name
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def benchmark_file(rounds: dict[str, list[float]], when: str = "2026-11-25T02:00:00+00:00",
                   machine: dict | None = None, records: dict[str, dict] | None = None, **more) -> dict:
    """A pytest-benchmark file with the seconds of every round, by `fullname`."""
    return {"machine_info": MACHINE if machine is None else machine, "datetime": when, "version": "5.3.1",
            "benchmarks": [{"name": name, "fullname": name, "group": None, "params": None, "param": None,
                            "extra_info": (records or {}).get(name, {}),
                            "stats": {"median": float(np.median(data)), "data": data, "rounds": len(data)}}
                           for name, data in rounds.items()], **more}


def complete_record(bench_id: str = "m/eager/b1/s8/cpu", **fields: Any) -> dict[str, Any]:
    """A latency record as it is saved today, of a benchmark with two rounds; `fields` by name, whatever their topic."""
    model, variant, batch, length, device = bench_id.split("/")
    return to_json(made(**{
        "bench_id": bench_id, "model": model, "variant": variant, "workload": f"{batch}-{length}", "device": device,
        "batch_size": int(batch[1:]), "sequence_length": int(length[1:]), "speedup_low": 0.9, "speedup_high": 1.1,
        "pairs": 2, "variant_turns": [1, 1], "reference_turns": [1, 1], "reference_rounds": [0.1, 0.2],
        "max_abs_error": 0.0, "tolerance_class": "exact-math", "engagement": "none", "first_call_s": 0.1, **fields}))


def older_record(bench_id: str = "m/eager/b1/s8/cpu", **fields: Any) -> dict[str, Any]:
    """The same as it was saved before records were nested. `fields` need not fit."""
    return {**older.flat(complete_record(bench_id)), **fields}


def misspelt(record: dict[str, Any], field: str) -> dict[str, Any]:
    """A record, nested or flat, with another letter at the end of that field's name."""
    if field in record:
        return {f"{name}x" if name == field else name: value for name, value in record.items()}
    return {name: misspelt(part, field) if isinstance(part, dict) else part for name, part in record.items()}


def noise_floor(names: Iterable[str], machine: dict[str, str], **changed: dict) -> dict:
    """A floor of 3 % for each name; `changed` has other fields of some."""
    entry = {"pairs": 30, "duets": 3, "spread": 0.005, "spread_between_duets": 0.001, "process_spread": 0.01,
             "floor": 0.03, "margin": 0.01}
    return {"format": "eagerbench-noise-floor/1", "machine": machine, "provenance": [],
            "benchmarks": {bench: {**entry, **changed.get(bench, {})} for bench in names}}


def analysis(capsys, *arguments) -> tuple[int, str, str]:
    """`eagerbench` in this process: exit code, stdout, stderr."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as ended:  # argparse
        code = ended.code
    out, err = capsys.readouterr()
    return code, out, err
