"""Commands that measure what is open."""

import math
import re
import shlex
from collections.abc import Sequence

from eagerbench.case import DEFAULT
from eagerbench.results.decision.budget import Budget
from eagerbench.results.decision.candidates import EAGER, Known
from eagerbench.results.decision.evidence import Subject
from eagerbench.results.decision.types import Candidate, Estimate, Judged
from eagerbench.results.decision.under_load import limit_ms
from eagerbench.results.numbers import PERCENTILES

_LEAST_S, _MOST_S, _MOST_FOR_CALLS_S = 10, 300, 3600  # of a case, for --time-budget
# The experiment that measures what a limit asks, where the latency experiment does not.
_EXPERIMENTS = {"max-quality-loss": "quality", "max-ready-s": "startup", "max-memory-mib": "memory",
                "max-steady-mib": "memory",
                "max-build-s": "startup", "qps": "serving"}
_FROM_LABELS = " --retrieval FILE"  # or --labels FILE, of a classifier
_ANEW = " --rebuild"  # what is kept with an artifact is measured once


def again(subject: Subject, variants: Sequence[str], places: Sequence[tuple[str, str]],
          time_budget: float | None = None) -> str:
    """Measure variants on workloads once more; the file that it saves is given beside the first."""
    parts = ["eagerbench", "run", *(f"test_{name}.py" for name in dict.fromkeys(place[0] for place in places)),
             "--model", subject.model, *(part for name in variants for part in ("--variant", name)),
             *_shapes(places), *_where(subject)]
    return " ".join(map(shlex.quote, parts)) + (f" --time-budget {time_budget:g}" if time_budget else "")


def of_experiment(subject: Subject, experiment: str, variant: str, more: str = "") -> str:
    parts = ["eagerbench", "run", f"test_{experiment}.py", "--model", subject.model, "--variant", variant,
             *_where(subject)]
    return " ".join(map(shlex.quote, parts)) + more


def settles(one: Known, found: Sequence[Judged], ranked: bool, subject: Subject, places: Sequence[tuple[str, str]],
            budget: Budget) -> str:
    """The command for the first limit that is open, or for a variant without a number to rank it by; empty where
    nothing is open, or where a limit is missed anyway."""
    if any(limit.fit == "does not" for limit in found):
        return ""
    for limit in found:
        if limit.fit in ("unknown", "may fit"):
            if experiment := _EXPERIMENTS.get(limit.limit):
                more = {"quality": _FROM_LABELS, "serving": f" --p99-ms {limit_ms(budget):g}"}.get(
                    experiment, _ANEW if limit.fit == "may fit" else "")
                return of_experiment(subject, experiment, one.variant, more)
            return again(subject, [one.variant], places, _budget(one, limit.limit, budget))
    return "" if ranked else again(subject, [EAGER, one.variant], places, _budget(one, "", budget))


def of_ties(choice: Candidate, ties: Sequence[Candidate], ratio: Estimate | None, one: Known, subject: Subject,
            places: Sequence[tuple[str, str]]) -> str:
    """Measure the choice and the first tie for as long as their difference would need, if it is what it seems."""
    if not ties:
        return ""
    seen = _seconds(one)
    if ratio is not None and ratio.low is not None and seen:
        half, off = math.log(ratio.high / ratio.low) / 2, abs(math.log(ratio.value))
        budget = seen * (half / off)**2 if off > 0 else math.inf
    else:
        budget = 6 * (seen or 2)
    names = [choice.variant, ties[0].variant]
    return again(subject, names, places, min(max(math.ceil(1.5 * budget) if budget < 1e6 else _MOST_S, _LEAST_S),
                                             _MOST_S))


def _budget(one: Known, limit: str, budget: Budget) -> float:
    """Seconds of a case that may narrow an interval, or give enough calls for a percentile."""
    seen = _seconds(one) or 2.0
    calls = min(place.calls for place in one.places)
    needed = PERCENTILES.get(budget.percentile, 0) if limit == "max-latency-ms" else 0
    more = max(4.0, 1.5 * needed / max(1, calls))
    return float(min(max(math.ceil(more * seen), _LEAST_S), _MOST_S if calls >= needed else _MOST_FOR_CALLS_S))


def _seconds(one: Known) -> float:
    """That a case's rounds took, with eager's beside them, the longest."""
    return max((sum(record.rounds) + sum(getattr(record.record.timing, "reference_rounds", []))
                for found in one.observed for record in found), default=0.0)


def _shapes(places: Sequence[tuple[str, str]]) -> list[str]:
    """Options that give these latency workloads, and any that are a cross product with them."""
    found = [sizes for name, workload in places if name == DEFAULT
             and (sizes := re.fullmatch(r"b(\d+)-s(\d+)", workload))]
    return [part for group, flag in ((1, "--batch-sizes"), (2, "--sequence-lengths")) if found
            for part in (flag, ",".join(map(str, sorted({int(sizes[group]) for sizes in found}))))]


def _where(subject: Subject) -> list[str]:
    some = next((one.any for one in subject.variants.values() if one.any), None)
    threads = ["--threads", str(some.record.identity.threads)] if some else []
    return [*threads, *(["--device", subject.device] if subject.device != "cpu" else [])]
