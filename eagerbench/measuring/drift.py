"""How far a model with fewer layers is from the whole one."""

from dataclasses import replace

from eagerbench.case import Case
from eagerbench.measuring.models import Models
from eagerbench.measuring.reference import Reference
from eagerbench.models.loading import load
from eagerbench.outputs.tolerance import relative_distance


class Drift:
    """Measures it once for all variants."""

    def __init__(self, models: Models):
        self._models = models

    def of(self, case: Case) -> float | None:
        """Relative L2 distance of the pruned model's outputs from the whole one's, on the case's batch; None for a
        whole model."""
        if case.model.layers is None:
            return None
        return self._models.memo.once(("drift", case.workload), lambda: self._measure(case))

    def _measure(self, case: Case) -> float:
        expected = self._models.reference(case.model).expected(case.workload)
        whole = Reference(load(replace(case.model, layers=None), case.device), case.device).runner
        outputs = whole.arrays(whole(whole.prepare(expected.inputs)))
        return relative_distance(expected.outputs, outputs, expected.mask)
