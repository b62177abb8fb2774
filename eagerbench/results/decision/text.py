"""The decision in sentences: what to take, what cannot be told apart from it, what misses and by how much."""

from collections.abc import Iterator, Sequence

from eagerbench.results.decision.budget import Budget
from eagerbench.results.decision.judging import number
from eagerbench.results.decision.types import Candidate, Estimate, Excluded, Judged, Miss, Verdict
from eagerbench.results.decision.under_load import limit_ms
from eagerbench.results.numbers import mib, milliseconds
from eagerbench.shown import count, one_line

EAGER = "eager"
_MOST_NAMED, _MOST_OPEN = 4, 2
_LEAST_ERROR = 1e-7  # below it a cosine, of which the error is made, has no digits
_BUSY = 0.1  # of the time that threads waited for a core
_SMALLER = {"memory": "smaller in memory", "size": "smaller on disk"}
_KINDS = {"wrong": "wrong output", "unreadable": "record not complete"}


def sentences(verdict: Verdict, budget: Budget) -> list[str]:
    """What to take first. A command has a line of its own, which begins with two spaces."""
    return [("  " if line.startswith("  ") else "") + one_line(line) for line in _sentences(verdict, budget)]


def _sentences(verdict: Verdict, budget: Budget) -> Iterator[str]:
    choice = verdict.of(verdict.choice) if verdict.choice else None
    yield _take(verdict, choice, budget)
    if verdict.ties:
        yield f"{_names(verdict.ties)} cannot be told apart from it{_more_exact(verdict, choice)}."
        yield f"  To decide: {verdict.settle}"
    if verdict.nearest_miss:
        yield _missed(verdict.nearest_miss, budget, choice)
    for name in verdict.unjudged[:_MOST_OPEN]:
        yield from _open(verdict.of(name))
    if len(verdict.unjudged) > _MOST_OPEN:
        yield f"{len(verdict.unjudged) - _MOST_OPEN} more are open: {_names(verdict.unjudged[_MOST_OPEN:])}."
    if 1 < len(verdict.front) < len(verdict.candidates):
        yield f"No variant is provably better in every respect than: {_names(verdict.front, 8)}."
    yield from _left_out(verdict.excluded)
    if verdict.waited is not None and verdict.waited > _BUSY:
        yield (f"Other work kept the machine busy: threads waited {verdict.waited:.0%} of the time. This makes the "
               "intervals wide; on a quiet machine they are narrower.")


def _more_exact(verdict: Verdict, choice: Candidate) -> str:
    """What may make a user take a tie all the same."""
    ties = [tie for name in verdict.ties if (tie := verdict.of(name)) and tie.error and choice.error]
    best = min(ties, key=lambda tie: tie.error.value, default=None)
    if best is None or best.error.value >= 0.5 * choice.error.value:
        return ""
    which = "its error is smaller" if len(verdict.ties) == 1 else f"`{best.variant}` has the smallest error"
    return f"; {which}, {number(best.error.value)}"


def _take(verdict: Verdict, choice: Candidate | None, budget: Budget) -> str:
    if choice is None:
        return f"Take none: {verdict.why}."
    facts = [*_gain(choice, budget), *_costs(choice, budget)]
    said = f"Take `{choice.variant}`: {verdict.why}"
    if choice.variant != EAGER:
        said = f"Take `{choice.variant}`"
        said += "" if verdict.why.startswith("provably") else f" ({verdict.why})"
    return f"{said}: {', '.join(facts)}." if facts else f"{said}."


def _gain(choice: Candidate, budget: Budget) -> Iterator[str]:
    """`4.4 times [3.6, 5.6] as fast as eager`."""
    if choice.variant != EAGER and choice.better is not None and budget.objective in _SMALLER:
        yield f"{ratio(choice.better)} {_SMALLER[budget.objective]} than eager"
    if choice.variant != EAGER and choice.speedup is not None:
        proven = "" if choice.speedup.low and choice.speedup.low > 1 else " (not proven)"
        yield f"{ratio(choice.speedup)} as fast as eager{proven}"
    if budget.calls is not None and choice.total_s is not None:
        yield f"{number(choice.total_s.value)} s for {count(budget.calls, 'call')} with build and load"
        if choice.pays_back is not None and choice.pays_back.value is not None:
            yield f"paid back after {count(choice.pays_back.value, 'call')}"
    for place in choice.places[:2]:
        at = f" at {place.shown}" if len(choice.places) > 1 else ""
        if place.percentile_s is not None:
            yield f"p{budget.percentile} {milliseconds(place.percentile_s.value)}{at}"
        elif place.latency_s is not None:
            yield f"{milliseconds(place.latency_s.value)} a call{at}"


def _costs(choice: Candidate, budget: Budget) -> Iterator[str]:
    if choice.variant != EAGER and choice.error is not None:
        yield f"error {number(choice.error.value)}" if choice.error.value >= _LEAST_ERROR else "no error to speak of"
    if budget.qps is not None and choice.queries_per_s is not None:
        load = choice.queries_per_s
        yield f"{number(load.value)} queries/s at p99 ≤ {limit_ms(budget):g} ms ({load.basis})"
    if budget.max_quality_loss is not None and choice.quality_loss is not None:
        yield f"quality loss {number(choice.quality_loss.value)} at most {number(choice.quality_loss.high or 1)}"
    if choice.memory_bytes is not None:
        yield f"{mib(choice.memory_bytes.value)} of memory at its peak"
    if budget.max_steady_mib is not None and choice.steady_bytes is not None:
        yield f"{mib(choice.steady_bytes.value)} after that"
    if choice.size_bytes is not None:
        yield f"{mib(choice.size_bytes.value)} on disk"


def ratio(estimate: Estimate) -> str:
    """`4.4 times [3.6, 5.6]`; two decimals below 3, where they matter."""
    places = 2 if estimate.value < 3 else 1 if estimate.value < 100 else 0
    ends = [] if estimate.low is None or estimate.high is None or estimate.low == estimate.high \
        else [estimate.low, estimate.high]
    value, *ends = (f"{number:,.{places}f}" for number in (estimate.value, *ends))
    return f"{value} times [{', '.join(ends)}]" if ends else f"{value} times"


def _missed(miss: Miss, budget: Budget, choice: Candidate | None) -> str:
    over = " and ".join(_limit(limit.said) for limit in miss.over[:2])
    by = _far(miss.over)
    if choice is None:
        return f"Nearest miss: `{miss.variant}`, but {over}{by}."
    better = _SMALLER.get(budget.objective, "faster")
    gain = f"{ratio(miss.better)} {better} still" if miss.better else f"{better} still"
    return f"`{miss.variant}` would be {gain}, but {over}{by}."


def _far(over: Sequence[Judged]) -> str:
    """` (30 % beyond at its worse end)`, ` (14 times as much)`; nothing of a class."""
    known = [limit for limit in over if limit.over and limit.limit != "class" and limit.found]
    if not known:
        return ""
    worst = max(known, key=lambda limit: limit.over)
    end = "" if worst.found.low == worst.found.high else " at its worse end"
    return f" ({worst.over + 1:,.1f} times as much{end})" if worst.over >= 1 else f" ({worst.over:.0%} beyond{end})"


def _limit(said: str) -> str:
    return said if said.startswith("it ") else f"its {said}"


def _open(candidate: Candidate) -> Iterator[str]:
    limits = [limit.said for limit in candidate.judged if limit.fit in ("may fit", "unknown")]
    missing = next((place.percentile_missing for place in candidate.places if place.percentile_missing), "")
    reason = " and ".join(map(_limit, limits[:2])) or "it has no interval"
    yield f"`{candidate.variant}` is open: {reason}{f' ({missing})' if missing else ''}."
    if candidate.settle:
        yield f"  To know: {candidate.settle}"


def _left_out(excluded: Sequence[Excluded]) -> Iterator[str]:
    """By kind, a line each: those that could be chosen if they ran with their command."""
    kinds = list(dict.fromkeys(one.kind for one in excluded))
    parts = []
    for kind in sorted(kinds, key=lambda kind: kind == "not run"):
        of_kind = [one for one in excluded if one.kind == kind]
        parts.append(f"{_KINDS.get(kind, kind)}: {_names([one.variant for one in of_kind], 3)}")
    if parts:
        yield f"Left out, {'; '.join(parts)}."
    again = next((one for one in excluded if one.settle), None)
    if again:
        yield f"  To measure `{again.variant}`: {again.settle}"


def _names(names: Sequence[str], most: int = _MOST_NAMED) -> str:
    shown = [f"`{name}`" for name in names[:most]]
    if len(names) > most:
        return ", ".join(shown) + f" and {len(names) - most} more"
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + shown[-1] if shown else ""
