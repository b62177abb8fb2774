"""Files of latency records for the tests of decisions: each variant by the ratio of every pair of turns."""

import math
from typing import Any

from made_records import made

from eagerbench.results import decision
from eagerbench.results.decision import Budget, Decision, Source, Verdict
from eagerbench.results.record import to_json
from eagerbench.statistics import ratio_of_pairs

MACHINE = {"cpu": {"brand_raw": "a CPU", "count": 2}, "machine": "x86_64", "system": "Linux", "release": "6.1",
           "python_version": "3.11.7", "python_implementation": "CPython"}
PAIRS = (0.97, 0.98, 0.99, 1.0, 1.0, 1.01, 1.02, 1.03)  # about the ratio


def bench(variant: str, ratio: float = 1.0, tolerance: str = "exact-math", error: float = 1e-6, mib: float = 500,
          artifact_mib: float = 0, pairs: tuple[float, ...] = PAIRS, eager_s: float = 0.1, rounds: int = 1,
          model: str = "m", workload: tuple[int, int] = (8, 128), experiment: str = "latency",
          **fields: Any) -> dict[str, Any]:
    """A benchmark whose pairs of turns show `ratio` times each of `pairs`, of `rounds` calls a turn."""
    ratios = [ratio * one for one in pairs]
    found = ratio_of_pairs([math.log(one) for one in ratios])
    data = [eager_s / one for one in ratios for _ in range(rounds)]
    in_turns = {"speedup_vs_eager": found.value, "speedup_low": found.low, "speedup_high": found.high,
                "pairs": len(pairs), "variant_turns": [rounds] * len(pairs), "reference_turns": [1] * len(pairs),
                "reference_rounds": [eager_s] * len(pairs)}
    batch, length = workload
    sizes = {"batch_size": batch, "sequence_length": length, "samples_per_s": batch / sorted(data)[len(data) // 2]}
    record = made(experiment, **{
        "model": model, "variant": variant, "workload": f"b{batch}-s{length}", "tolerance_class": tolerance,
        "cosine": 1 - error**2 / 2, "artifact_bytes": round(artifact_mib * 2**20), "peak_rss_bytes": round(mib * 2**20),
        "parameter_bytes": 90 * 2**20, "threads": 1, "build_s": 0.0, "load_s": 0.1,
        **(in_turns if experiment in ("latency", "startup") else {}), **(sizes if experiment == "latency" else {}),
        **fields})
    return {"extra_info": to_json(record), "stats": {"median": sorted(data)[len(data) // 2], "data": data}}


def cell(variant: str, status: str, reason: str, model: str = "m", workload: str = "b8-s128") -> dict[str, str]:
    return {"bench_id": f"{model}/{variant}/{workload.replace('-', '/')}/cpu", "model": model, "variant": variant,
            "experiment": "latency", "workload": workload, "status": status, "reason": reason}


def content(*benches: dict[str, Any], cells: tuple = (), machine: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"machine_info": machine or MACHINE, "benchmarks": list(benches), "eagerbench": {"cells": list(cells)}}


def decided(*benches: dict[str, Any], cells: tuple = (), **budget: Any) -> Decision:
    return decision.decide([Source("a.json", content(*benches, cells=cells))], Budget(**budget))


def verdict(*benches: dict[str, Any], cells: tuple = (), **budget: Any) -> Verdict:
    """Of one model."""
    (found,) = decided(*benches, cells=cells, **budget).verdicts
    return found


EAGER = bench("eager")
SDPA = bench("sdpa", 1.05, error=1e-6)
OPENVINO = bench("openvino", 1.5, artifact_mib=87, mib=240)
BF16 = bench("openvino-bf16", 4.4, "reduced-precision", 0.006, 218, 87)
EAGER_BF16 = bench("eager-bf16", 4.42, "reduced-precision", 0.012, 520)
INT8 = bench("openvino-int8", 7.5, "quantised", 0.72, 230, 22)
ALL = (EAGER, SDPA, OPENVINO, BF16, EAGER_BF16, INT8)
# Of variants without a time: status and reason of the cell, and what kind of exclusion it is.
FAILURES = {
    "broken": ("failed", "m/broken/b8/s128/cpu: output differs from eager beyond exact-math: cosine", "wrong"),
    "plain": ("failed", "m/plain/b8/s128/cpu: not engaged: 0 fused kernels", "not engaged"),
    "loud": ("unusable", "3 of 3 turns disturbed", "unusable"),
    "gone": ("failed", "crashed: SIGSEGV", "crashed"),
    "never": ("skipped", "not installed: ipex (run: make env-ipex)", "not run"),
    "later": ("skipped", "not in the default run; add --variant '*'", "not run"),
    "error": ("failed", "ValueError: no", "failed"),
}
