"""Tasks: a batch for the model's head, in turns with eager, and how many predictions are eager's."""

from typing import TYPE_CHECKING, Any

from eagerbench.backends.building import Built
from eagerbench.experiments.latency import ratio_of, turns_of
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.timing import time_against
from eagerbench.plan import Case

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Time a `Task`."""
    model, reference, work = meter.model(case.model), meter.reference(case.model), case.workload
    expected = reference.expected(work)
    runner, eager = built.runner, reference.runner
    native, eager_native = runner.prepare(expected.inputs), eager.prepare(expected.inputs)
    timing = time_against(benchmark, lambda: runner(native), lambda: eager(eager_native), meter.selection.series_budget,
                          expected.call_s)
    expected.call_s = timing.reference_s
    outputs = runner.arrays(timing.result)
    comparison = expected.judge(outputs, case.variant.tolerance)

    def fields() -> dict[str, Any]:
        found = work.agreed(model, outputs, expected.outputs)
        ratio = ratio_of(timing)
        rows, width = expected.inputs["input_ids"].shape
        return {"predictions": found.predictions, "predictions_equal": found.equal, "predictions_read_as": found.how,
                "rank_correlation": found.rank_correlation, "rows": rows, "padded_tokens": rows * width,
                "real_tokens": work.real_tokens(model),
                "speedup_vs_eager": ratio.value, "speedup_low": ratio.low, "speedup_high": ratio.high,
                **turns_of(timing)}

    return Measured(comparison, expected.inputs, timing.first_call_s, timing.spent_s,
                    fields if timing.rounds else None, timing.conditions)
