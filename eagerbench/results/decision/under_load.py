"""Queries a second of a variant under load, from the serving experiment."""

from statistics import median

from eagerbench.experiments.serving_tables import how
from eagerbench.results.decision.budget import Budget
from eagerbench.results.decision.evidence import Observation, OfVariant
from eagerbench.results.decision.types import Estimate
from eagerbench.results.numbers import P99_MS


def limit_ms(budget: Budget) -> float:
    """Milliseconds that the 99th percentile holds: the budget's, or what the experiment asks by default."""
    return P99_MS if budget.max_latency_ms is None else budget.max_latency_ms


def queries_per_s(of_variant: OfVariant, budget: Budget) -> Estimate | None:
    """At the limit of the budget or a tighter one, of the policy that answers most; the median of several files.

    The ends are rates that were run: the highest that every repeated run held, and the lowest that a run did not. The
    basis is the policy.
    """
    if budget.qps is None:
        return None
    best: dict[int, Observation] = {}
    allowed_s = limit_ms(budget) / 1e3 * (1 + 1e-9)
    for one in of_variant.of_experiment("serving"):
        best_yet = best.get(one.source)
        if one.record.workload.p99_limit_s <= allowed_s and (best_yet is None or _rate(one) > _rate(best_yet)):
            best[one.source] = one
    if not best:
        return None
    found = list(best.values())
    lows, highs = [_low(one) for one in found], [_high(one) for one in found]
    policies = dict.fromkeys(how(one.record) for one in found)
    return Estimate(value=median(map(_rate, found)), low=None if None in lows else min(lows),
                    high=None if None in highs else max(highs), basis=" or ".join(policies))


def _rate(one: Observation) -> float:
    return one.record.result.queries_per_s or 0.0


def _low(one: Observation) -> float | None:
    return one.record.result.queries_per_s_low if _rate(one) else 0.0


def _high(one: Observation) -> float | None:
    """None where the load generator ended the search."""
    result = one.record.result
    if not _rate(one):
        return 0.0
    return result.offline_per_s if result.limited_by == "throughput" else result.queries_per_s_high
