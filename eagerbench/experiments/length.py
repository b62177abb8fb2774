"""Latency against length: one batch without padding, the variant alone. The last length has the fit over all."""

from statistics import median
from typing import TYPE_CHECKING, Any

from eagerbench.backends.building import Built
from eagerbench.experiments.latency import tokens
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.timing import time_alone
from eagerbench.plan import Case
from eagerbench.results.length_tables import cost_per_token

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Time a `FullBatch`."""
    work, runner = case.workload, built.runner
    expected = meter.reference(case.model).expected(work)
    native = runner.prepare(expected.inputs)
    timing = time_alone(benchmark, lambda: runner(native), meter.selection.series_budget)
    comparison = expected.judge(runner.arrays(timing.result), case.variant.tolerance)

    def fields() -> dict[str, Any]:
        call_s, counts = median(timing.rounds), tokens(case, expected)
        so_far = meter.once(("lengths", case.variant.name, work.batch_size), dict[int, float])
        so_far[work.sequence_length] = call_s
        return {**counts, "call_s": call_s, "cost_per_token_s": cost_per_token(work.batch_size, so_far),
                "tokens_per_s": counts["real_tokens"] / call_s,
                "warmup_calls": timing.warm_up.calls, "warmup_s": timing.warm_up.seconds,
                "warmup_steady": timing.warm_up.steady}

    return Measured(comparison, expected.inputs, timing.first_call_s, timing.spent_s,
                    fields if timing.rounds else None, timing.conditions)
