"""Memory: the peak of a fresh process that loads a variant and runs a batch, against eager's."""

from statistics import median
from typing import TYPE_CHECKING, Any

from eagerbench.backends.building import Built
from eagerbench.errors import CannotRun
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.peaks import peaks
from eagerbench.measuring.timing import LEAST_ROUNDS, time_alone
from eagerbench.plan import Case

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """A few calls of an `InProcesses` here, for a time beside the peak; the peak is taken in another process."""
    expected = meter.reference(case.model).expected(case.workload.batch)
    native = built.runner.prepare(expected.inputs)
    timing = time_alone(benchmark, lambda: built.runner(native), meter.selection.series_budget, LEAST_ROUNDS,
                        again=False)
    comparison = expected.judge(built.runner.arrays(timing.result), case.variant.tolerance)
    if not timing.rounds:
        return Measured(comparison, expected.inputs, timing.first_call_s, timing.spent_s, None)
    own, eager = peaks(meter, case, built), peaks(meter, case, meter.reference_built())
    for found in (own, eager):
        if found["peak_rss_bytes"] is None:
            raise CannotRun(found["peak_rss_missing"])

    def fields() -> dict[str, Any]:
        return {
            **own,
            "peak_rss_vs_eager": own["peak_rss_bytes"] / eager["peak_rss_bytes"],
            "eager_peak_rss_bytes": eager["peak_rss_bytes"],
            "call_s": median(timing.rounds),
        }

    return Measured(comparison, expected.inputs, timing.first_call_s, timing.spent_s, fields)
