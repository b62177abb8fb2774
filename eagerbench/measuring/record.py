"""The record: what `extra_info` holds for every experiment. Its schema is `eagerbench/results/record.schema.json`."""

from typing import Any

from eagerbench.backends.base import Engagement
from eagerbench.backends.building import Built
from eagerbench.models.classes import unknown_head
from eagerbench.models.loading import LoadedModel
from eagerbench.outputs.tolerance import Comparison
from eagerbench.plan import Case


def identity(case: Case, model: LoadedModel, threads: int, allocator: str) -> dict[str, Any]:
    """Who this record is of, built from values only."""
    return {
        "bench_id": case.bench_id,
        "model": case.model.name,
        "model_fingerprint": model.fingerprint,
        "weights_sha256": model.identity.weights,
        "code_sha256": model.identity.code,
        "config_sha256": model.identity.config,
        "variant": case.variant.name,
        "dtype": case.variant.dtype,
        **{f"option_{name}": value for name, value in case.variant.options.items()},
        "experiment": case.experiment,
        "workload": case.workload.id,
        **case.workload.facts,
        "device": case.device,
        "seed": case.model.seed,
        "threads": threads,
        "allocator": allocator,
        "inputs": "text" if model.tokenizer is not None else "random",
        **({"unknown_head": head} if (head := unknown_head(model.config)) else {}),
    }


def correctness(case: Case, comparison: Comparison, engagement: Engagement) -> dict[str, Any]:
    return {
        "tolerance_class": case.variant.tolerance,
        "max_abs_error": comparison.max_abs_error,
        "rmse_ratio": json_number(comparison.rmse_ratio),
        "cosine": comparison.cosine,
        "agreement": comparison.agreement,
        "equal_nonfinite": comparison.nonfinite,
        "equal_masked": comparison.masked,
        "judged_values": comparison.judged,
        "engagement": engagement.summary,
        **{f"engagement_{name}": value for name, value in engagement.facts.items()},
    }


def costs(built: Built, model: LoadedModel, first_call_s: float) -> dict[str, Any]:
    return {
        "parameter_bytes": model.parameter_bytes,
        "artifact_bytes": built.artifact_bytes,
        "artifact_cached": built.cached,
        "build_s": built.build_s,
        "load_s": built.load_s,
        "first_call_s": first_call_s,
    }


def json_number(value: float) -> float | None:
    """JSON has no infinity: a ratio to an eager that is exactly its float64, or to zero, is undefined."""
    return value if value not in (float("inf"), float("-inf")) and value == value else None
