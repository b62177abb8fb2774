"""Start-up and size: what a process pays before its first answer, and after how many calls a variant has paid back."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from eagerbench import backends
from eagerbench.backends.building import Built
from eagerbench.experiments.latency import in_turns, ratio_of, turns_of
from eagerbench.measuring.fresh_process import FreshRun
from eagerbench.measuring.measured import Measured
from eagerbench.models.saved import save_state_dict
from eagerbench.plan import Case
from eagerbench.results.startup_tables import break_even

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Time the batch of an `InProcesses` in turns with eager here, then load and call it in fresh processes, whose
    first outputs are judged too."""
    work = case.workload
    timing, comparison, expected = in_turns(meter, benchmark, case, built, work.batch)
    if not timing.rounds:
        return Measured(comparison, expected.inputs, timing.first_call_s, timing.spent_s, None)
    is_eager = case.variant.name == backends.REFERENCE
    runs = None if is_eager else _runs(meter, case, built)
    eager_runs = meter.once(("start-up", work), lambda: _runs(meter, case, meter.reference_built()))
    runs = runs or eager_runs
    spent_s = timing.spent_s + sum(run.first_call_s for run in runs)

    def fields() -> dict[str, Any]:
        saved = meter.saved(case.model)
        eager_load_s = median(run.load_s for run in eager_runs)
        load_s, in_process_s = median(run.load_s for run in runs), median(run.build_s for run in runs)
        build_s = built.build_s if built.directory else in_process_s
        ratio, eager_call_s = ratio_of(timing), median(timing.turns.reference_rounds)
        found = break_even(build_s + load_s - eager_load_s, eager_call_s, ratio.value, ratio.low, ratio.high)
        return {
            "break_even_calls": None if is_eager else found.calls,
            "break_even_low": None if is_eager else found.low,
            "break_even_high": None if is_eager else found.high,
            "break_even_missing": "what the others are compared with" if is_eager else found.missing,
            "startup_build_s": build_s,
            "startup_save_s": built.save_s,
            "startup_loads_s": [run.load_s for run in runs],
            "startup_load_s": load_s,
            "startup_imports_s": median(run.imports_s for run in runs),
            "startup_first_call_s": median(run.first_call_s for run in runs),
            "startup_ready_s": median(run.ready_s for run in runs),
            "eager_load_s": eager_load_s,
            "eager_call_s": eager_call_s,
            "call_s": eager_call_s / ratio.value,
            "disk_bytes": built.artifact_bytes or saved.bytes,
            "speedup_vs_eager": ratio.value,
            "speedup_low": ratio.low,
            "speedup_high": ratio.high,
            **turns_of(timing),
            **(_plain_weights(meter, case) if is_eager else {}),
        }

    return Measured(comparison, expected.inputs, timing.first_call_s, spent_s, fields, timing.conditions)


def _runs(meter: "Meter", case: Case, built: Built) -> list[FreshRun]:
    inputs = case.workload.inputs(meter.model(case.model))
    return [_judged(meter, case, built, lambda: meter.run_fresh(case, built, [inputs]))
            for _ in range(case.workload.processes)]


def _plain_weights(meter: "Meter", case: Case) -> dict[str, Any]:
    """Eager from a pickled state_dict beside its safetensors; nothing for a module that transformers does not know."""
    saved, model = meter.saved(case.model), meter.model(case.model)
    if saved.bytes is None:
        return {}
    eager, inputs = meter.reference_built(), case.workload.inputs(model)
    with tempfile.TemporaryDirectory() as scratch:
        file, save_s = save_state_dict(model, Path(scratch))
        runs = [_judged(meter, case, eager, lambda: meter.run_fresh(case, eager, [inputs], state_dict=file))
                for _ in range(case.workload.processes)]
        return {
            "safetensors_save_s": saved.save_s,
            "state_dict_save_s": save_s,
            "state_dict_bytes": file.stat().st_size,
            "state_dict_load_s": median(run.load_s for run in runs),
            "state_dict_ready_s": median(run.ready_s for run in runs),
        }


def _judged(meter: "Meter", case: Case, built: Built, run: Callable[[], FreshRun]) -> FreshRun:
    """A run whose first outputs are right: the call that was timed."""
    found = run()
    meter.demand(case, built, found.first_outputs, "a process of its own")
    return found
