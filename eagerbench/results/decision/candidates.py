"""Candidates: what a choice needs to know of each variant, on the workloads that are asked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eagerbench.case import DEFAULT
from eagerbench.results.decision import quantities
from eagerbench.results.decision.budget import Budget
from eagerbench.results.decision.evidence import Observation, OfVariant, Subject, key, shown
from eagerbench.results.decision.quality import quality_loss
from eagerbench.results.decision.types import Estimate, PayBack, Place
from eagerbench.results.decision.under_load import limit_ms, queries_per_s

EAGER = "eager"
ONE = Estimate(value=1.0, low=1.0, high=1.0, basis="the reference")
# What a workload's throughput counts, the first that a record has.
_PER_SECOND = ("samples_per_s", "sentences_per_s", "questions_per_s", "rows_per_s", "tokens_per_s")


@dataclass(frozen=True)
class Known:
    """A variant with a usable time on every workload that is asked.

    Attributes:
        observed: records by workload, in the order of the budget; without any on one, of eager alone.
    """

    variant: str
    tolerance_class: str
    dtype: str
    observed: list[list[Observation]]
    places: list[Place]
    speedup: Estimate | None
    error: Estimate | None
    quality_loss: Estimate | None
    memory_bytes: Estimate | None
    steady_bytes: Estimate | None
    size_bytes: Estimate | None
    build_s: Estimate | None
    load_s: Estimate | None
    ready_s: Estimate | None
    queries_per_s: Estimate | None
    total_s: Estimate | None = None
    pays_back: PayBack | None = None


def known(subject: Subject, places: Sequence[tuple[str, str]], budget: Budget,
          kept: dict[tuple, list[Known]] | None = None) -> list[Known]:
    """Of every variant that was timed on all of `places`, sorted by name. Eager is always in where any was: its time
    is in every record.

    Args:
        kept: what was found for budgets before: of limits and calls nothing in it depends.
    """
    asked = subject.model, subject.device, tuple(places), budget.percentile, budget.qps is None, limit_ms(budget)
    kept = {} if kept is None else kept
    if asked not in kept:
        kept[asked] = _all_known(subject, places, budget)
    eager = next((one for one in kept[asked] if one.variant == EAGER), None)
    return [_with_costs_paid(one, eager, budget) for one in kept[asked]]


def _all_known(subject: Subject, places: Sequence[tuple[str, str]], budget: Budget) -> list[Known]:
    names = {place: next((shown(place, found[0]) for one in subject.variants.values()
                          if (found := one.observed.get(place))), shown(place, None)) for place in places}
    found = []
    eager = _known(subject, subject.variant(EAGER), places, names, budget)
    for name in sorted(subject.variants):
        of_variant = subject.variants[name]
        if name != EAGER and all(of_variant.observed.get(place) for place in places):
            found.append(_known(subject, of_variant, places, names, budget))
    if found or all(subject.variant(EAGER).observed.get(place) for place in places):
        found.append(eager)
    return sorted(found, key=lambda one: one.variant)


def _known(subject: Subject, of_variant: OfVariant, places: Sequence[tuple[str, str]], names: dict,
           budget: Budget) -> Known:
    is_eager = of_variant.variant == EAGER
    observed = [of_variant.observed.get(place, []) for place in places]
    here = [one for found in observed for one in found]
    some = of_variant.any or _another(subject)
    return Known(
        variant=of_variant.variant,
        tolerance_class="exact-math" if is_eager else some.record.correctness.tolerance_class,
        dtype="float32" if is_eager else some.record.identity.dtype,
        observed=observed,
        places=[_place(subject, of_variant, place, names[place], budget) for place in places],
        speedup=ONE if is_eager else quantities.mean([_speedup(subject, found, place)
                                                      for found, place in zip(observed, places, strict=True)]),
        error=quantities.exact(0.0, "the reference") if is_eager else _error(here),
        quality_loss=quantities.exact(0.0, "the reference") if is_eager else quality_loss(of_variant),
        queries_per_s=queries_per_s(of_variant, budget),
        memory_bytes=_memory(of_variant, here), steady_bytes=_steady(of_variant),
        size_bytes=_size(of_variant, some, is_eager),
        **_startup(of_variant, here, is_eager))


def _another(subject: Subject) -> Observation | None:
    return next((one.any for one in subject.variants.values() if one.any), None)


def _place(subject: Subject, of_variant: OfVariant, place: tuple[str, str], name: str, budget: Budget) -> Place:
    observed = of_variant.observed.get(place, [])
    is_eager = of_variant.variant == EAGER
    latency, missing, slowest = quantities.latency(observed), "", None
    beside = observed
    if is_eager and not observed:
        beside = [one for other in subject.variants.values() for one in other.observed.get(place, [])]
        latency = quantities.eager_latency(beside)
        missing = "eager has no record of its own here"
    elif budget.percentile is not None:
        slowest, missing = quantities.percentile(observed, budget.percentile)
    return Place(workload=key(place), shown=name, latency_s=latency, percentile_s=slowest,
                 percentile_missing=missing if budget.percentile else "",
                 speedup=ONE if is_eager else _speedup(subject, observed, place),
                 throughput=_throughput(beside, latency), calls=sum(len(one.rounds) for one in observed),
                 pairs=sum(getattr(one.record.timing, "pairs", 0) for one in observed), processes=len(observed))


def _speedup(subject: Subject, observed: Sequence[Observation], place: tuple[str, str]) -> Estimate | None:
    """In turns with eager; by eager's own seconds where the experiment takes none."""
    return quantities.speedup(observed) or quantities.unpaired(observed, subject.variant(EAGER).observed.get(place, []))


def _throughput(observed: Sequence[Observation], latency: Estimate | None) -> Estimate | None:
    """What a call works off, over its seconds."""
    for one in observed:
        for name in _PER_SECOND:
            if value := getattr(one.record.result, name, None):
                return quantities.inverse(latency, value * one.median_s) if latency else None
    return None


def _error(here: Sequence[Observation]) -> Estimate | None:
    """Size of the difference from eager's output over the size of that output, the largest."""
    errors = [math.sqrt(max(0.0, 2 * (1 - one.record.correctness.cosine))) for one in here]
    return quantities.exact(max(errors), "of the calls that were timed") if errors else None


def _memory(of_variant: OfVariant, here: Sequence[Observation]) -> Estimate | None:
    """Peak of a process, the largest over workloads; where these have none, of the memory experiment."""
    for found in (here, of_variant.of_experiment("memory")):
        on_gpu = any(one.record.identity.device != "cpu" for one in found)
        name = "peak_gpu_bytes" if on_gpu else "peak_rss_bytes"
        by_source: dict[int, float] = {}
        for one in found:
            if value := getattr(one.record.costs, name):
                by_source[one.source] = max(value, by_source.get(one.source, 0))
        if by_source:
            return quantities.measured(list(by_source.values()), "memory")
    return None


def _steady(of_variant: OfVariant) -> Estimate | None:
    """What stays of a process after two calls, the largest over workloads."""
    by_source: dict[int, float] = {}
    for one in of_variant.of_experiment("memory"):
        name = "steady_rss_bytes" if one.record.identity.device == "cpu" else "steady_gpu_bytes"
        if value := getattr(one.record.result, name):
            by_source[one.source] = max(value, by_source.get(one.source, 0))
    return quantities.measured(list(by_source.values()), "memory")


def _size(of_variant: OfVariant, some: Observation | None, is_eager: bool) -> Estimate | None:
    if some is None:
        return None
    costs = some.record.costs
    artifact = 0 if is_eager else max(one.record.costs.artifact_bytes for found in of_variant.observed.values()
                                      for one in found)
    if artifact:
        return quantities.exact(float(artifact), "the artifact")
    results = [one.record.result for one in of_variant.of_experiment("memory")]
    checkpoint = max((result.weights_bytes or 0 for result in results
                      if result.loaded_from == "quantised checkpoint"), default=0)
    return quantities.exact(float(checkpoint or costs.parameter_bytes), "the weights")


def _startup(of_variant: OfVariant, here: Sequence[Observation], is_eager: bool) -> dict[str, Estimate | None]:
    """From the start-up experiment where it ran; the build and load of the measuring process otherwise."""
    runs = of_variant.of_experiment("startup")
    results = [one.record.result for one in runs]
    costs = [one.record.costs for one in here]
    build = [result.startup_build_s for result in results] or [cost.build_s for cost in costs]
    load = [result.startup_load_s for result in results] or [cost.load_s for cost in costs]
    return {"build_s": quantities.exact(0.0) if is_eager else quantities.measured(build, "build"),
            "load_s": quantities.measured(load, "build"),
            "ready_s": quantities.measured([result.startup_ready_s for result in results], "build")}


def _with_costs_paid(one: Known, eager: Known, budget: Budget) -> Known:
    """With the seconds of the budget's calls, build and load included, and when the variant has paid back."""
    if budget.calls is None:
        return one
    per_call = [place.latency_s for place in eager.places]
    if None in per_call:
        return one
    eager_s = math.exp(math.fsum(math.log(place.value) for place in per_call) / len(per_call))
    return _replace(one, total_s=_total(one, eager_s, budget.calls),
                    pays_back=None if one.variant == EAGER else _pays_back(one, eager, eager_s))


def _replace(one: Known, **changed) -> Known:
    return Known(**{**vars(one), **changed})


def _total(one: Known, eager_s: float, calls: int) -> Estimate | None:
    """Of eager's seconds a call everywhere: what the machine did between two variants is in neither."""
    once = [part for part in (one.build_s, one.load_s) if part is not None]
    called = quantities.inverse(one.speedup, eager_s * calls)
    if called is None or called.low is None or one.build_s is None:
        return None
    return Estimate(value=called.value + sum(part.value for part in once),
                    low=called.low + sum(part.low for part in once),
                    high=called.high + sum(part.high for part in once), basis=called.basis)


def _pays_back(one: Known, eager: Known, eager_s: float) -> PayBack | None:
    if one.speedup is None or one.build_s is None or one.load_s is None:
        return None
    load = eager.load_s or Estimate(value=0.0, low=0.0, high=0.0)
    extra = one.build_s.value + one.load_s.value - load.value
    least, most = (one.build_s.low + one.load_s.low - load.high, one.build_s.high + one.load_s.high - load.low)
    return PayBack(value=_calls(extra, eager_s, one.speedup.value), low=_calls(least, eager_s, one.speedup.high),
                   high=_calls(most, eager_s, one.speedup.low))


def _calls(extra_s: float, eager_s: float, speedup: float | None) -> int | None:
    if speedup is None or speedup <= 1:
        return None
    return max(0, math.ceil(extra_s / (eager_s * (1 - 1 / speedup))))


def default_places(subject: Subject) -> list[tuple[str, str]]:
    """Every latency workload that any variant was timed on, in order of size."""
    found = {place: one for of_variant in subject.variants.values() for place, seen in of_variant.observed.items()
             if place[0] == DEFAULT for one in seen}
    return sorted(found, key=lambda place: (*_sizes(found[place]), place))


def _sizes(one: Observation) -> tuple[int, int]:
    return tuple(getattr(one.record.workload, name, 0) for name in ("batch_size", "sequence_length"))
