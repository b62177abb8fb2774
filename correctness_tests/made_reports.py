"""Saved runs for tests of reports, made of typed records: as large as wanted, and the degenerate ones."""

import json
import math
import random
from pathlib import Path
from typing import Any

from made_records import made

from eagerbench.results.record import to_json

MACHINE = {"node": "n", "machine": "x86_64", "system": "Linux", "release": "6.1", "python_version": "3.11.7",
           "python_implementation": "CPython", "python_compiler": "GCC", "processor": "", "memory_bytes": 16 * 2**30,
           "usable_cores": 4, "threads": 2, "allocator": "pinned", "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
           "cpu": {"brand_raw": "A <CPU> & more", "count": 4, "arch": "X86_64", "bits": 64, "flags": ["avx2"]}}
CLASSES = ("exact-math", "reduced-precision", "quantised")
OTHERS = ("corpus", "quality", "startup", "memory", "threads", "padding", "generation", "tasks")
_ERRORS = {"exact-math": 1e-6, "reduced-precision": 1e-2, "quantised": 0.1}
_RESULTS = {"corpus": {"policy": "sorted", "batch_size": 8}, "quality": {"neighbours_changed": 0.02},
            "tasks": {"predictions_equal": 0.75},
            "length": {"sequence_length": 16},
            "serving": {"rates": [100.0, 200.0], "run_valid": [True, False], "run_queries": [700, 700],
                        "run_p50_s": [0.01, 0.03], "run_p90_s": [0.02, 0.06], "run_p99_s": [0.04, 0.09]}}


def bench(variant: str = "eager", model: str = "m", experiment: str = "latency", tolerance: str = "exact-math",
          speed: float = 1.0, shape: tuple[int, int] = (8, 128), pairs: int = 6, seed: int = 0, **fields: Any) -> dict:
    """A benchmark with its rounds: `pairs` turns of three rounds, eager beside them where the experiment has it."""
    rng = random.Random(f"{model}/{variant}/{experiment}/{shape}/{seed}")
    eager_s = 1e-5 * shape[0] * shape[1]
    call_s = eager_s / speed

    def rounds(seconds: float) -> list[float]:
        return [seconds * math.exp(rng.gauss(0, 0.01)) for _ in range(3 * pairs)]

    error = 0.0 if variant == "eager" else _ERRORS[tolerance] * rng.uniform(0.8, 1.2)
    given = {"model": model, "variant": variant, "tolerance_class": tolerance, "cosine": 1 - error**2 / 2, "threads": 2,
             "peak_rss_bytes": int(5e8 / speed), "parameter_bytes": 9 * 10**7, "artifact_bytes": 10**7,
             "build_s": 2.5, "load_s": 0.4, "first_call_s": 3 * call_s, "engagement": "12 kernels <ran> & more",
             **_RESULTS.get(experiment, {})}
    if experiment in ("latency", "length", "memory", "startup", "threads", "python"):
        given |= {"batch_size": shape[0], "sequence_length": shape[1]}
    given["workload"] = "b{}-s{}".format(*shape) if experiment != "corpus" else "b8-sorted-n64"
    marked = () if experiment == "latency" else (experiment,)
    given["bench_id"] = "/".join((model, variant, *marked, *given["workload"].split("-"), "cpu"))
    own, eagers = rounds(call_s), rounds(eager_s)
    if experiment in ("latency", "startup", "padding", "tasks", "python"):
        given |= {"pairs": pairs, "variant_turns": [3] * pairs, "reference_turns": [3] * pairs,
                  "reference_rounds": eagers}
    if experiment in ("latency", "startup", "tasks"):
        given |= {"speedup_vs_eager": speed, "speedup_low": 0.97 * speed, "speedup_high": 1.03 * speed}
    record = made(experiment, **{**given, **fields})
    return {"name": record.identity.bench_id, "fullname": record.identity.bench_id, "extra_info": to_json(record),
            "stats": {"median": sorted(own)[len(own) // 2], "data": own}}


def content(benches: list[dict], cells: list[dict] = (), when: str = "2026-11-28T11:04:09+00:00") -> dict[str, Any]:
    """A saved file: a `timed` cell for each benchmark, and those given."""
    planned = [_cell(one["extra_info"]["identity"]) for one in benches]
    return {"benchmarks": benches, "machine_info": MACHINE, "datetime": when, "version": "5.3.1",
            "commit_info": {"id": "0123456789abcdef0123", "dirty": False},
            "eagerbench": {"cells": [*planned, *cells], "session": {"wall_s": 100.0, "measured_s": 60.0}}}


def _cell(identity: dict[str, Any]) -> dict[str, str]:
    return {"status": "timed", "reason": "",
            **{name: identity[name] for name in ("bench_id", "model", "variant", "experiment", "workload")}}


def failed(variant: str, status: str = "failed", reason: str = "output differs", **more: Any) -> dict[str, Any]:
    """A cell without a record."""
    return {"bench_id": f"m/{variant}/b8/s128/cpu", "model": "m", "variant": variant, "experiment": "latency",
            "workload": "b8-s128", "status": status, "reason": reason, **more}


def usual() -> dict[str, Any]:
    """Two workloads of a dozen variants, other experiments, failures, and a record that was disturbed."""
    speeds = {"eager": 1.0, "sdpa": 1.2, "openvino": 2.5, "torchscript": 1.21, "eager-bf16": 3.0, "openvino-bf16": 4.4,
              "openvino-int8": 7.0, "onnxruntime-int8": 6.8, "dynamic-int8": 0.8}
    classes = {name: CLASSES[2] if "int8" in name else CLASSES[1] if "bf16" in name else CLASSES[0] for name in speeds}
    benches = [bench(name, tolerance=classes[name], speed=speed, shape=shape) for name, speed in speeds.items()
               for shape in ((1, 128), (8, 128))]
    benches += [bench(name, tolerance=classes[name], speed=speeds[name], experiment=experiment)
                for name in ("eager", "openvino", "openvino-int8")
                for experiment in OTHERS]
    benches += [bench("eager", experiment="length", shape=(1, length), sequence_length=length, call_s=length / 1e3)
                for length in (16, 64, 256)]
    benches.append(bench("torchscript-optimized", speed=1.1, usable=False, unusable_reason="3 of 3 turns disturbed"))
    cells = [failed("ipex", "skipped", "not installed: ipex (run: make env-ipex)"),
             failed("cuda-graph", "skipped", "runs on cuda, not on cpu"), failed("aot-inductor"),
             failed("bnb-nf4", "crashed", "SIGSEGV", log="line <one>\nline two & last")]
    return content(benches, cells)


def large(records: int) -> dict[str, Any]:
    """So many latency records: 10 models, 50 variants, as many workloads as are needed."""
    drawn = [bench(tolerance=CLASSES[number % 3], variant="v", seed=number) for number in range(30)]
    found = []
    for number in range(records):
        place, variant, model = number // 500, number // 10 % 50, number % 10
        speed, shape = 1 + variant / 20, (2 ** (place % 6), 16 + place)
        name, workload = "eager" if variant == 0 else f"variant-{variant:02}", "b{}-s{}".format(*shape)
        one = drawn[variant % 3 + 3 * (place % 10)]
        info = one["extra_info"]
        identity = {**info["identity"], "model": f"model-{model}", "variant": name, "workload": workload,
                    "bench_id": f"model-{model}/{name}/{workload.replace('-', '/')}/cpu"}
        timing = {**info["timing"], "speedup_vs_eager": speed, "speedup_low": 0.97 * speed,
                  "speedup_high": 1.03 * speed}
        rounds = [seconds * shape[0] * shape[1] / 1024 / speed for seconds in one["stats"]["data"]]
        found.append({"name": identity["bench_id"], "fullname": identity["bench_id"],
                      "extra_info": {**info, "identity": identity, "timing": timing, "workload": {
                          "batch_size": shape[0], "sequence_length": shape[1]}},
                      "stats": {"median": sorted(rounds)[len(rounds) // 2], "data": rounds}})
    return content(found)


def saved(directory: Path, made_content: dict[str, Any], name: str = "run.json") -> Path:
    file = directory / name
    file.write_text(json.dumps(made_content), encoding="utf-8")
    return file
