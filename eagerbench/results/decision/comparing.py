"""Which of two variants is better by the objective, with the interval of the ratio; and the Pareto front."""

from collections.abc import Iterator, Sequence

from eagerbench.results.decision import quantities
from eagerbench.results.decision.budget import Budget
from eagerbench.results.decision.candidates import EAGER, ONE, Known
from eagerbench.results.decision.types import Estimate

_MANY = 8  # workloads
_EVERYWHERE = -float("inf"), float("inf")  # what an axis is where nothing is known of a variant


Ratios = dict[tuple[str, str], Estimate | None]


class Comparison:
    """Ratios between variants by one budget's objective.

    A ratio above 1 says that the first is better: its low end above 1 proves it, and two variants are tied when neither
    is provably better.

    Args:
        ratios: known ones, by variants: of the same records, workloads, objective and calls.
    """

    def __init__(self, budget: Budget, ratios: Ratios | None = None):
        self._budget = budget
        self._ratios = {} if ratios is None else ratios

    def better(self, a: Known, b: Known) -> Estimate | None:
        """How many times better `a` is than `b`; None where nothing says."""
        if a.variant > b.variant:  # one way round, so that neither order is favoured
            return quantities.inverse(self.better(b, a))
        if a.variant == b.variant:
            return ONE
        pair = a.variant, b.variant
        if pair not in self._ratios:
            self._ratios[pair] = self._better(a, b)
        return self._ratios[pair]

    def provably(self, a: Known, b: Known) -> bool:
        ratio = self.better(a, b)
        return ratio is not None and ratio.low is not None and ratio.low > 1

    def tied(self, a: Known, b: Known) -> bool:
        return not self.provably(a, b) and not self.provably(b, a)

    def rank(self, one: Known) -> tuple[float, float] | None:
        """What it is ranked by, larger is better: the safe end of its own number of the objective, and the number."""
        objective = self._budget.objective
        if objective in ("memory", "size") or self._budget.calls is not None:
            cost = one.total_s if objective in ("latency", "throughput") else getattr(one, f"{objective}_bytes")
            return None if cost is None or cost.high is None else (-cost.high, -cost.value)
        gain = one.speedup
        return None if gain is None or gain.low is None else (gain.low, gain.value)

    def _better(self, a: Known, b: Known) -> Estimate | None:
        objective = self._budget.objective
        if objective in ("memory", "size"):
            name = f"{objective}_bytes"
            return quotient(getattr(b, name), getattr(a, name))
        if self._budget.calls is not None:
            return quotient(b.total_s, a.total_s)
        if EAGER in (a.variant, b.variant):
            return b.speedup and quantities.inverse(b.speedup) if a.variant == EAGER else a.speedup
        ends = quotient(a.speedup, b.speedup)
        if len(a.observed) > _MANY and ends is not None and ends.low is not None and (ends.low > 1 or ends.high < 1):
            return ends  # what both intervals prove needs no comparison of all their turns
        return quantities.mean([quantities.faster(first, second)
                                for first, second in zip(a.observed, b.observed, strict=True)])


def quotient(above: Estimate | None, below: Estimate | None) -> Estimate | None:
    if above is None or below is None or not below.value or not above.value:
        return None
    if None in (above.low, above.high, below.low, below.high):
        return Estimate(value=above.value / below.value)
    return Estimate(value=above.value / below.value, low=above.low / below.high, high=above.high / below.low,
                    basis=above.basis)


def front(found: Sequence[Known], budget: Budget) -> set[str]:
    """Variants that no other provably dominates."""
    axes = {one.variant: list(_axes(one, budget)) for one in found}
    return {one.variant for one in found
            if not any(dominates(axes[other.variant], axes[one.variant]) for other in found)}


Ends = tuple[float, float]


def dominates(a: Sequence[Ends], b: Sequence[Ends]) -> bool:
    """Whether, on every axis (better end, worse end; less is better), a's worse end is not worse than b's better end,
    and on one it is better."""
    return (all(mine[1] <= other[0] for mine, other in zip(a, b, strict=True))
            and any(mine[1] < other[0] for mine, other in zip(a, b, strict=True)))


def _axes(one: Known, budget: Budget) -> Iterator[Ends]:
    """Time of eager's on each workload, error, memory and size; what else the budget limits, too.

    Memory and the seconds of a build are taken as they were measured: an interval that no two variants' are apart
    by would leave everything on the front.
    """
    for place in one.places:
        yield _ends(quantities.inverse(place.speedup))
    yield _ends(one.error)
    yield _point(one.memory_bytes)
    yield _ends(one.size_bytes)
    if budget.max_steady_mib is not None:
        yield _point(one.steady_bytes)
    if budget.max_quality_loss is not None:
        yield _ends(one.quality_loss)
    if budget.max_build_s is not None or budget.calls is not None:
        yield _point(one.build_s)
    if budget.max_ready_s is not None:
        yield _point(one.ready_s)
    if budget.qps is not None:
        some = one.queries_per_s is not None and one.queries_per_s.low
        yield _ends(quantities.inverse(one.queries_per_s) if some else None)
    if budget.percentile is not None:
        for place in one.places:
            yield _ends(place.percentile_s)


def _ends(estimate: Estimate | None) -> Ends:
    if estimate is None or estimate.low is None or estimate.high is None:
        return _EVERYWHERE
    return estimate.low, estimate.high


def _point(estimate: Estimate | None) -> Ends:
    return _EVERYWHERE if estimate is None else (estimate.value, estimate.value)
