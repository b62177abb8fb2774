"""Latency: one batch, the variant in turns with eager."""

from contextlib import nullcontext
from statistics import median
from typing import TYPE_CHECKING, Any

from eagerbench.backends.building import Built
from eagerbench.machine import facts as machine
from eagerbench.measuring.gpu_observer import GpuObserver, observer
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.peaks import peaks
from eagerbench.measuring.reference import Expected
from eagerbench.measuring.timing import Timing
from eagerbench.outputs.tolerance import Comparison
from eagerbench.plan import Case
from eagerbench.statistics import Ratio, paired_log_ratios, ratio_of_pairs
from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Time a batch in turns with eager; a workload is an `OneBatch`."""
    seen = observer(case.device, built.runner, meter.reference(case.model).runner)
    timing, comparison, expected = in_turns(meter, benchmark, case, built, case.workload, seen)

    def fields() -> dict[str, Any]:
        counts = tokens(case, expected)
        peak = machine.peak_flops(case.variant.dtype, case.device, meter.selection.threads)
        return {**counts, **meter.drift(case), **peaks(meter, case, built), **_speedup(timing), **turns_of(timing),
                **(seen.fields() if seen else {}),
                **_speeds(timing, counts["real_tokens"], case.workload.batch_size, expected.flops, peak)}

    return Measured(comparison, expected.inputs, timing.first_call_s, timing.spent_s,
                    fields if timing.turns is not None else None, timing.conditions)


def in_turns(meter: "Meter", benchmark: Any, case: Case, built: Built, batch: OneBatch,
             seen: GpuObserver | None = None) -> tuple[Timing, Comparison, Expected]:
    """Time a batch in turns with eager, `seen` by an observer, and judge what the last timed call returned."""
    reference = meter.reference(case.model)
    expected = reference.expected(batch)
    runner, eager = built.runner, reference.runner
    native, eager_native = runner.prepare(expected.inputs), eager.prepare(expected.inputs)
    with seen.watching() if seen else nullcontext():
        timing = meter.time_in_turns(benchmark, case.bench_id, lambda: runner(native), lambda: eager(eager_native),
                                     expected.call_s, seen)
    expected.call_s = timing.reference_s
    comparison = expected.judge(runner.arrays(timing.result), case.variant.tolerance)
    return timing, comparison, expected


def tokens(case: Case, expected: Expected) -> dict[str, int]:
    padded = case.workload.batch_size * case.workload.sequence_length
    return {"padded_tokens": padded, "real_tokens": padded if expected.mask is None else int(expected.mask.sum())}


def ratio_of(timing: Timing) -> Ratio:
    """How many times faster than its reference the variant was, from pairs of turns."""
    turns = timing.turns
    return ratio_of_pairs(paired_log_ratios(timing.rounds, turns.variant_turns, turns.reference_rounds,
                                            turns.reference_turns))


def _speedup(timing: Timing) -> dict[str, Any]:
    ratio = ratio_of(timing)
    return {"speedup_vs_eager": ratio.value, "speedup_low": ratio.low, "speedup_high": ratio.high}


def turns_of(timing: Timing) -> dict[str, Any]:
    """What a ratio is computed from."""
    turns = timing.turns
    return {
        "pairs": len(turns.variant_turns),
        "variant_turns": turns.variant_turns,
        "reference_turns": turns.reference_turns,
        "reference_rounds": turns.reference_rounds,
        "warmup_calls": timing.warm_up.calls,
        "warmup_s": timing.warm_up.seconds,
        "warmup_steady": timing.warm_up.steady,
    }


def _speeds(timing: Timing, real_tokens: int, samples: int, flops: int, peak: float | None) -> dict[str, Any]:
    """Throughput from the median round."""
    call_s = median(timing.rounds)
    return {
        "tokens_per_s": real_tokens / call_s,
        "samples_per_s": samples / call_s,
        "flops": flops,
        "peak_flops_per_s": peak,
        "fraction_of_peak": flops / call_s / peak if peak else None,
    }
