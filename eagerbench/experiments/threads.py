"""Threads and instances: total throughput of processes pinned to disjoint cores, against this one on all of them."""

from statistics import median
from typing import TYPE_CHECKING, Any

from eagerbench.backends.building import Built
from eagerbench.measuring.disturbance import Conditions
from eagerbench.measuring.instances import run_instances
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.timing import time_alone
from eagerbench.plan import Case
from eagerbench.workloads.processes import physical_cores

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Time the batch of a `Layout` in this process, then start its instances; the outputs of each are judged."""
    work = case.workload
    expected = meter.reference(case.model).expected(work.batch)
    native = built.runner.prepare(expected.inputs)
    timing = time_alone(benchmark, lambda: built.runner(native), meter.selection.series_budget)
    comparison = expected.judge(built.runner.arrays(timing.result), case.variant.tolerance)
    if not timing.rounds:
        return Measured(comparison, expected.inputs, timing.first_call_s, timing.spent_s, None)
    cores = physical_cores()
    sets = [cores[number * work.threads:(number + 1) * work.threads] for number in range(work.instances)]
    found = run_instances(case.variant.name, built.directory, meter.saved(case.model).spec, expected.inputs,
                          meter.placement, meter.fresh_allocator, sets, work.window_s)
    for number, instance in enumerate(found):
        meter.demand(case, built, instance.outputs, f"instance {number}")

    def fields() -> dict[str, Any]:
        total = sum(instance.calls / instance.seconds for instance in found) * work.batch.batch_size
        alone = work.batch.batch_size / median(timing.rounds)
        return {
            "samples_per_s": total,
            "session_samples_per_s": alone,
            "layout_gain": total / alone,
            "instance_calls": [instance.calls for instance in found],
            "instance_s": [instance.seconds for instance in found],
            "instance_cores": [",".join(map(str, those)) for those in sets],
            "warmup_calls": timing.warm_up.calls,
            "warmup_s": timing.warm_up.seconds,
            "warmup_steady": timing.warm_up.steady,
        }

    own = timing.conditions
    side_by_side = Conditions([instance.turn for instance in found])
    conditions = side_by_side if side_by_side.reason else own
    spent_s = timing.spent_s + work.window_s
    return Measured(comparison, expected.inputs, timing.first_call_s, spent_s, fields, conditions)
