"""Variants that cannot be chosen: wrong, not engaged, unusable, crashed, not run; each with its reason."""

import re
from collections.abc import Mapping, Sequence

from eagerbench.results.decision import settling
from eagerbench.results.decision.evidence import Gap, OfVariant, Subject, key
from eagerbench.results.decision.types import Excluded, Kind
from eagerbench.shown import one_line

_NOT_MEASURED = Gap("not run", "not measured here")
_CRASHED = r"^crashed\b|\bSIG[A-Z]+\b|out[- ]of[- ]memory|timed[- ]out|no end after|exit code \d+|\bkilled\b"
# What a measurement of its own may still give: the reasons of cases that were left out of a run, not of this machine's.
_OPEN = r"not in the default run|deselected|another build|ended before|not measured here|its build serves"
_LONGEST = 200


def excluded(subject: Subject, places: Sequence[tuple[str, str]], candidates: Sequence[str],
             bad: Mapping[str, str]) -> list[Excluded]:
    """Every variant of the files that is no candidate, sorted by name."""
    found = []
    for name in sorted(set(subject.variants) - set(candidates)):
        of_variant = subject.variants[name]
        place = next((place for place in places if not of_variant.observed.get(place)), None)
        if place is None:
            place = next(iter(of_variant.gaps), None)
        if place is not None:
            found.append(_excluded(subject, of_variant, place, places))
    for bench, reason in sorted(bad.items()):
        model, _, rest = bench.partition("/")
        if model == subject.model and bench.endswith(f"/{subject.device}"):
            found.append(Excluded(variant=rest.partition("/")[0] or bench, kind="unreadable",
                                  reason=one_line(f"{bench}: {reason}")[:_LONGEST]))
    return found


def _excluded(subject: Subject, of_variant: OfVariant, place: tuple[str, str],
              places: Sequence[tuple[str, str]]) -> Excluded:
    gap = of_variant.gaps.get(place, _NOT_MEASURED)
    kind = _kind(gap)
    may_run = kind == "unusable" or (kind == "not run" and re.search(_OPEN, gap.reason))
    return Excluded(variant=of_variant.variant, kind=kind, reason=one_line(gap.reason)[:_LONGEST],
                    workload=key(place),
                    settle=settling.again(subject, [of_variant.variant], places or [place]) if may_run else "")


def _kind(gap: Gap) -> Kind:
    if gap.status in ("unusable", "another machine"):
        return gap.status
    if gap.status in ("skipped", "not run"):
        return "not run"
    if re.search(r"\bnot engaged\b", gap.reason):
        return "not engaged"
    if re.search(r"\boutputs? differs?\b", gap.reason):
        return "wrong"
    return "crashed" if gap.status != "failed" or re.search(_CRASHED, gap.reason) else "failed"
