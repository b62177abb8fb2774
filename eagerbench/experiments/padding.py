"""What padding costs a variant: rows that one long text pads, in turns with as many equal rows of the same tokens."""

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from eagerbench.backends.building import Built
from eagerbench.experiments.latency import ratio_of, turns_of
from eagerbench.measuring.gpu_observer import observer
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.rows import Pass, expected_once, judge, refuse_order
from eagerbench.measuring.timing import time_against
from eagerbench.plan import Case
from eagerbench.workloads.batching import padded_tokens

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Time a `PaddingPair`: both sides are calls of this variant."""
    model, work = meter.model(case.model), case.workload
    same_rows = replace(work, layout="")
    equal_rows, skewed_rows = meter.once(same_rows, lambda: work.rows(model))
    batches, one_batch = work.batches, [list(range(work.batch_size))]
    equal = expected_once(meter, case, (same_rows, "equal"), equal_rows, one_batch)
    skewed = expected_once(meter, case, (same_rows, "padded"), skewed_rows, batches)
    meter.once((same_rows, "order"), lambda: refuse_order([*equal_rows, *skewed_rows], model,
                                                          meter.reference(case.model)))
    one_pass = Pass(built.runner, skewed.rows, batches, model)
    even_pass = Pass(built.runner, equal.rows, one_batch, model)
    seen = observer(case.device, None, None)
    timing = time_against(benchmark, one_pass, even_pass, meter.selection.series_budget, observer=seen)
    comparison = judge(timing.result, batches, skewed, case.variant.tolerance, model.pretrained)
    even = judge(even_pass(), one_batch, equal, case.variant.tolerance, model.pretrained)
    comparison = replace(comparison, failures=(*comparison.failures, *(f"equal rows: {x}" for x in even.failures)))

    def fields() -> dict[str, Any]:
        real, padded = sum(skewed.lengths), padded_tokens(skewed.lengths, batches)
        ratio = ratio_of(timing)
        return {
            "padding_cost": 1 / ratio.value,
            "padding_cost_low": None if ratio.high is None else 1 / ratio.high,
            "padding_cost_high": None if ratio.low is None else 1 / ratio.low,
            "padding_share": 1 - real / (work.batch_size * work.sequence_length),
            "real_tokens": real,
            "padded_tokens": padded,
            "tokens_per_s": real / median(timing.rounds),
            "rows_depend_on_batch": skewed.same_batches,
            **turns_of(timing),
            **(seen.fields() if seen else {}),
        }

    return Measured(comparison, one_pass.first_inputs, timing.first_call_s, timing.spent_s,
                    fields if timing.rounds else None, timing.conditions)
