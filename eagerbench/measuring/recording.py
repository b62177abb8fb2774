"""The topics of a record that every experiment has, made of what was measured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eagerbench.results.record import (
    AgainstEager,
    Correctness,
    Costs,
    Engagement,
    Identity,
    InTurns,
    PairedWithEager,
    WarmedUp,
)
from eagerbench.statistics import Ratio, paired_log_ratios, ratio_of_pairs

if TYPE_CHECKING:
    from eagerbench.backends import base
    from eagerbench.backends.building import Built
    from eagerbench.case import Case
    from eagerbench.measuring.peaks import Peak
    from eagerbench.measuring.timing import Timing
    from eagerbench.measuring.turns import Turns
    from eagerbench.models.loading import LoadedModel
    from eagerbench.outputs.tolerance import Comparison


def identity(case: "Case", model: "LoadedModel", threads: int, allocator: str) -> Identity:
    """Who a record is of, built from values only."""
    from eagerbench.models.classes import unknown_head

    return Identity(
        bench_id=case.bench_id, model=case.model.name, model_fingerprint=model.fingerprint,
        weights_sha256=model.identity.weights, code_sha256=model.identity.code, config_sha256=model.identity.config,
        variant=case.variant.name, dtype=case.variant.dtype, options=dict(case.variant.options),
        experiment=case.experiment, workload=case.workload.id, device=case.device, seed=case.model.seed,
        threads=threads, allocator=allocator, inputs="text" if model.tokenizer is not None else "random",
        unknown_head=unknown_head(model.config) or None, layers=case.model.layers)


def correctness(case: "Case", found: "Comparison", drift: float | None = None,
                rows_depend_on_batch: bool = False) -> Correctness:
    return Correctness(
        tolerance_class=case.variant.tolerance, max_abs_error=found.max_abs_error,
        rmse_ratio=finite(found.rmse_ratio), cosine=found.cosine, agreement=found.agreement,
        equal_nonfinite=found.nonfinite, equal_masked=found.masked, judged_values=found.judged,
        drift_from_whole=None if drift is None else finite(drift), rows_depend_on_batch=rows_depend_on_batch)


def engagement(found: "base.Engagement") -> Engagement:
    return Engagement(engagement=found.summary, facts=dict(found.facts))


def costs(built: "Built", model: "LoadedModel", first_call_s: float, peak: "Peak | None" = None) -> Costs:
    seen = {} if peak is None else {"peak_rss_bytes": peak.rss, "peak_gpu_bytes": peak.gpu,
                                    "peak_rss_missing": peak.missing}
    return Costs(parameter_bytes=model.parameter_bytes, artifact_bytes=built.artifact_bytes,
                 artifact_cached=built.cached, build_s=built.build_s, load_s=built.load_s, first_call_s=first_call_s,
                 built_beside=built.beside, **seen)


def ratio_of(timing: "Timing") -> Ratio:
    """How many times faster than its reference a call was, from pairs of turns."""
    turns = timing.turns
    return ratio_of_pairs(paired_log_ratios(timing.rounds, turns.variant_turns, turns.reference_rounds,
                                            turns.reference_turns))


def warmed_up(timing: "Timing") -> WarmedUp:
    return WarmedUp(**_warm_up(timing))


def in_turns(timing: "Timing") -> InTurns:
    return InTurns(**_warm_up(timing), **_turns(timing))


def against_eager(timing: "Timing") -> AgainstEager:
    ratio = ratio_of(timing)
    return AgainstEager(**_warm_up(timing), **_turns(timing), speedup_vs_eager=ratio.value, speedup_low=ratio.low,
                        speedup_high=ratio.high)


def paired_with_eager(timing: "Timing") -> PairedWithEager:
    ratio = ratio_of(timing)
    return PairedWithEager(**_turns(timing), speedup_vs_eager=ratio.value, speedup_low=ratio.low,
                           speedup_high=ratio.high)


def _warm_up(timing: "Timing") -> dict:
    warm = timing.warm_up
    return {"warmup_calls": warm.calls, "warmup_s": warm.seconds, "warmup_steady": warm.steady}


def _turns(timing: "Timing") -> dict:
    turns = timing.turns
    return {"pairs": len(turns.variant_turns), "variant_turns": turns.variant_turns,
            "reference_turns": turns.reference_turns, "reference_rounds": turns.reference_rounds}


def by_turn(seen: Sequence[Any], turns: "Turns") -> list[list[Any]]:
    """What was noted of each timed call, a list a turn, among what was noted of all calls, the turns' the last: untimed
    ones begin turns."""
    touch = int(turns.schedule.touch)
    start, found = len(seen) - sum(touch + rounds for rounds in turns.variant_turns), []
    for rounds in turns.variant_turns:
        found.append(list(seen[start + touch:start + touch + rounds]))
        start += touch + rounds
    return found


def finite(value: float) -> float | None:
    """JSON has no infinity: a ratio to an eager that is exactly its float64, or to zero, is undefined."""
    return value if value not in (float("inf"), float("-inf")) and value == value else None
