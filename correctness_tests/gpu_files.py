"""A file as `scripts/gpu.sh` writes it, for tests: every number in it is made up."""

from typing import Any

from analysis_files import benchmark_file, complete_record
from made_records import made

from eagerbench.results.record import to_json

FACTS = {"gpu": "Made-up GPU", "driver": "1.2", "torch": "2.11.0", "nvml_missing": None,
         "peak_flops_per_s": {"float32": 5e13, "tf32": 4e14, "bfloat16": 8e14, "float16": None}}
STEPS = [{"step": "facts", "status": "done", "seconds": 9.0, "said": "Made-up GPU"},
         {"step": "latency/onnxruntime", "status": "skipped", "seconds": 0.0, "said": "no CUDA provider"}]
TURNS = {"device_s": 0.004, "reference_device_s": 0.004, "device_turns_s": [0.004, 0.004],
         "reference_device_turns_s": [0.004, 0.004], "gpu_sm_mhz": [1900, 1980, 1980, 1755],
         "gpu_memory_mhz": [2619] * 4, "gpu_power_w": [300.0, None, 400.0, 500.0],
         "gpu_temperature_c": [40, 41, 42, 43],
         "gpu_throttle": ["none", "power cap, idle", None, "none"], "gpu_facts_missing": None}


def record(variant: str, batch: int, device: str, call_s: float, **changed: Any) -> dict[str, Any]:
    gpu = {**TURNS, "peak_gpu_bytes": 500 * 2**20} if device != "cpu" else {}
    return complete_record(f"bert-base/{variant}/b{batch}/s128/{device}",
                           **{"samples_per_s": batch / call_s, **gpu, **changed})


def padding(variant: str, cost: float, device: str = "cuda:0") -> dict[str, Any]:
    return to_json(made("padding", model="bert-base", variant=variant, device=device, batch_size=16,
                        workload="b16-s128-p50-one-batch", layout="one-batch", padding_share=0.5, padding_cost=cost,
                        padding_cost_low=cost - 0.1, padding_cost_high=cost + 0.1, variant_turns=[1, 1]))


def gpu_file(*records: dict[str, Any]) -> dict[str, Any]:
    """Two rounds a record, whose median is `batch_size / samples_per_s` in latency."""
    by_id = {one["identity"]["bench_id"]: one for one in records}
    rounds = {name: [one["workload"].get("batch_size", 1) / one["result"].get("samples_per_s", 10)] * 2
              for name, one in by_id.items()}
    cells = [{**{field: one["identity"][field] for field in ("bench_id", "model", "variant", "experiment", "workload")},
              "status": "timed", "reason": ""} for one in by_id.values()]
    return benchmark_file(rounds, records=by_id, machine={"cpu": {"brand_raw": "Made-up CPU"}, "usable_cores": 16,
                                                          "gpus": ["Made-up GPU"]},
                          eagerbench={"cells": cells, "session": {"wall_s": 9.0, "measured_s": 4.0},
                                           "gpu_machine": {"facts": FACTS, "steps": STEPS, "python": "3.12.3"}})


def usual() -> dict[str, Any]:
    """Batch 1 in 5 ms and batch 32 in 5 ms (32 times), where the CPU takes 500 ms (100 times)."""
    return gpu_file(record("eager", 1, "cuda:0", 0.005), record("eager", 32, "cuda:0", 0.005),
                    record("bettertransformer", 1, "cuda:0", 0.004, speedup_vs_eager=1.25, speedup_low=1.2,
                           speedup_high=1.3),
                    record("eager", 32, "cpu", 0.5), padding("eager", 2.0), padding("bettertransformer-nested", 1.2))
