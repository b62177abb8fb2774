"""Peak memory of a variant, of which latency and memory keep a record."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eagerbench.backends.building import Built, key
from eagerbench.errors import CannotRun
from eagerbench.experiments import DEFAULT
from eagerbench.machine import room
from eagerbench.plan import Case

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def peaks(meter: "Meter", case: Case, built: Built) -> dict[str, Any]:
    """Peak bytes of a fresh process that runs this variant, measured once and kept as an artifact.

    `peak_rss_bytes`, resident, is null with the reason in `peak_rss_missing` when that process fails.
    `peak_gpu_bytes` is there on a GPU. The test fails when the process gave a wrong output.
    With `--peaks here` there is no such process: `peak_gpu_bytes` is that of the variant's tensors in this one.
    """
    if meter.selection.peaks == "here":
        return _here(meter, case, built)
    model, reference = meter.model(case.model), meter.reference(case.model)
    one_shape = built.directory is not None and built.backend.per_workload
    own = one_shape or case.experiment != DEFAULT
    workloads = [case.workload] if own else meter.workloads(case.model)
    for workload in workloads:  # whether one changes what another one gives
        reference.expected(getattr(workload, "batch", workload))
    if reference.remembers:
        workloads = [case.workload]

    def write(_: Path) -> dict[str, dict[str, Any]]:
        run = meter.run_fresh(case, built, [workload.inputs(model) for workload in workloads])
        of_each = zip(workloads, run.peaks, run.gpu_peaks, run.outputs, strict=True)
        return {workload.id: {"rss": rss, "gpu": gpu, "wrong": meter.judge(case.model, workload, built, outputs)}
                for workload, rss, gpu, outputs in of_each}

    determinants = {"build": key(built.variant, built.backend, model, case.device), "allocator": meter.allocator,
                    "placement": asdict(meter.placement), "workloads": [workload.id for workload in workloads],
                    "seed": meter.selection.seed, "facts": ["rss", "gpu", "wrong"]}
    try:
        artifact = meter.peak_store.get(f"{case.model.name}-{built.variant.name}", determinants, write)
    except (CannotRun, OSError) as reason:
        return {"peak_rss_bytes": None, "peak_rss_missing": room.reason(reason, meter.peak_store.root) or str(reason)}
    found = artifact.facts[case.workload.id]
    if found["wrong"]:
        meter.fail_elsewhere(case, built, "a process of its own", found["wrong"])
    gpu = {} if found["gpu"] is None else {"peak_gpu_bytes": found["gpu"]}
    return {"peak_rss_bytes": found["rss"], **gpu}


def _here(meter: "Meter", case: Case, built: Built) -> dict[str, Any]:
    batch = getattr(case.workload, "batch", case.workload)
    native = built.runner.prepare(meter.reference(case.model).expected(batch).inputs)
    gpu = meter.gpu_memory.peak(lambda: built.runner(native))
    missing = {"peak_rss_bytes": None, "peak_rss_missing": "needs a process of its own: leave out --peaks here"}
    return missing if gpu is None else {**missing, "peak_gpu_bytes": gpu}
