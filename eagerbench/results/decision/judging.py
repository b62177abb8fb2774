"""Whether a variant fits a budget: each limit is judged by the unfavourable end of the number's interval."""

from collections.abc import Iterator, Sequence

from eagerbench.results.decision import quantities
from eagerbench.results.decision.budget import CLASSES, Budget, Limit
from eagerbench.results.decision.candidates import Known
from eagerbench.results.decision.types import Estimate, Fit, Judged
from eagerbench.results.numbers import three

_WORST_FIRST = ("does not", "unknown", "may fit", "fits")


def judged(one: Known, budget: Budget) -> list[Judged]:
    """Every limit, on every workload where it is judged on each."""
    found = [_class(one, budget)] if budget.tolerance_class else []
    for limit in budget.limits():
        for workload, estimate in _numbers(one, limit, budget):
            found.append(_judged(limit, limit.of(budget), quantities.times(estimate, 1 / limit.scale), workload,
                                 budget))
    return found


def fit(found: Sequence[Judged]) -> Fit:
    """Of all of them together: the worst."""
    return next((name for name in _WORST_FIRST if any(one.fit == name for one in found)), "fits")


def overshoot(found: Sequence[Judged]) -> float:
    """The largest share by which a limit is missed; infinite where it is not known."""
    return max((float("inf") if one.over is None else one.over for one in found if one.fit != "fits"), default=0.0)


def _numbers(one: Known, limit: Limit, budget: Budget) -> Iterator[tuple[str, Estimate | None]]:
    if not limit.per_workload:
        yield "", getattr(one, limit.quantity)
        return
    name = "percentile_s" if limit.quantity == "latency_s" and budget.percentile else limit.quantity
    for place in one.places:
        yield place.workload, getattr(place, name)


def _class(one: Known, budget: Budget) -> Judged:
    found, allowed = CLASSES.index(one.tolerance_class), CLASSES.index(budget.tolerance_class)
    return Judged(limit="class", fit="fits" if found <= allowed else "does not", allowed=allowed,
                  found=quantities.exact(float(found), one.tolerance_class), over=max(0.0, float(found - allowed)),
                  said="" if found <= allowed else f"it is {one.tolerance_class}, over your {budget.tolerance_class}")


def _judged(limit: Limit, allowed: float, found: Estimate | None, workload: str, budget: Budget) -> Judged:
    worse = None if found is None else found.low if limit.least else found.high
    better = None if found is None else found.high if limit.least else found.low
    if worse is not None and _within(worse, allowed, limit):
        verdict: Fit = "fits"
    elif better is not None and not _within(better, allowed, limit):
        verdict = "does not"
    else:
        verdict = "unknown" if worse is None and better is None else "may fit"
    return Judged(limit=limit.key.replace("_", "-"), workload=workload, fit=verdict, allowed=allowed, found=found,
                  over=_over(worse, allowed, limit), said=_said(limit, allowed, found, verdict, budget))


def _within(value: float, allowed: float, limit: Limit) -> bool:
    return value >= allowed if limit.least else value <= allowed


def _over(worse: float | None, allowed: float, limit: Limit) -> float | None:
    """The share by which the unfavourable end is beyond the limit; 0 where it is within."""
    if worse is None or (limit.least and worse <= 0) or (not limit.least and allowed <= 0 < worse):
        return None
    if _within(worse, allowed, limit):
        return 0.0
    return allowed / worse - 1 if limit.least else worse / allowed - 1


def _said(limit: Limit, allowed: float, found: Estimate | None, verdict: Fit, budget: Budget) -> str:
    """`error 0.72 is over your 0.05`, `latency 98 ms [92, 105] may be over your 100 ms`."""
    word = f"p{budget.percentile} {limit.word}" if limit.quantity == "latency_s" and budget.percentile else limit.word
    if found is None:
        return f"{word} is not known"
    side = "under" if limit.least else "over"
    ends = "" if found.low == found.high or found.low is None or found.high is None \
        else f" [{number(found.low)}, {number(found.high)}]"
    said = {"fits": "is within", "may fit": f"may be {side}", "does not": f"is {side}", "unknown": f"may be {side}"}
    return (f"{word} {number(found.value)}{limit.unit}{ends} {said[verdict]} your "
            f"{number(allowed)}{limit.unit}")


def number(value: float) -> str:
    """Three digits, also of what is far below 1: `0.024`, `0.0000123`, `412`."""
    if value == 0 or abs(value) >= 1:
        return three(value) if value else "0"
    return f"{value:.3g}" if abs(value) >= 1e-4 else f"{value:.1e}"
