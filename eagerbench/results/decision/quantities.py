"""Numbers of a variant with their intervals, from one record a process."""

import math
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from eagerbench.results.decision.evidence import Observation
from eagerbench.results.decision.types import Estimate
from eagerbench.results.numbers import PERCENTILES
from eagerbench.results.record import AgainstEager
from eagerbench.shown import count
from eagerbench.statistics import exact_interval, ratio_of_pairs, shift_interval

ENOUGH_PROCESSES = 6  # what an exact 95 % interval over processes needs
# How far (sd of the logarithm) another process of the same code differs from one beyond what its interval covers: on a
# quiet machine, and more for each share of the time that threads waited for a core (measured: docs/choose.md).
SPREAD = {"ratio": (0.0135, 0.2), "seconds": (0.02, 0.6)}
ONCE = {"memory": 0.01, "build": 0.2}  # the same, of what a process measures once
_LEAST_SD = 1e-6
_SD_95 = 1.96  # of them on each side of a 95 % interval


def exact(value: float | None, basis: str = "") -> Estimate | None:
    return None if value is None else Estimate(value=value, low=value, high=value, basis=basis)


def times(estimate: Estimate | None, factor: float) -> Estimate | None:
    """In another unit."""
    if estimate is None:
        return None
    low, high = (None if end is None else end * factor for end in (estimate.low, estimate.high))
    return Estimate(value=estimate.value * factor, low=low, high=high, basis=estimate.basis)


def inverse(estimate: Estimate | None, numerator: float = 1.0) -> Estimate | None:
    if estimate is None:
        return None
    low, high = (None if end is None else numerator / end for end in (estimate.high, estimate.low))
    return Estimate(value=numerator / estimate.value, low=low, high=high, basis=estimate.basis)


def wider(estimate: Estimate | None, spread: float) -> Estimate | None:
    """With what other processes differ by: half the width and 1.96 `spread`, both of the logarithm, as independent."""
    if estimate is None:
        return None
    low, high = (None if end is None else math.hypot(math.log(end / estimate.value), _SD_95 * spread)
                 for end in (estimate.low, estimate.high))
    return Estimate(value=estimate.value, low=None if low is None else estimate.value * math.exp(-low),
                    high=None if high is None else estimate.value * math.exp(high), basis=estimate.basis)


def over_processes(found: Sequence[Estimate | None]) -> Estimate | None:
    """One number of those of several processes, all above 0.

    From six processes on their Hodges–Lehmann estimate with its exact interval. From fewer, their mean weighted by the
    widths of their intervals, so that a better measurement counts for more; where they differ by more than these allow
    the interval is wider by as much (the scale factor of the Particle Data Group's Review, Introduction, 5.2.2).
    """
    known = [one for one in found if one is not None]
    if len(known) < 2:
        return known[0] if known else None
    basis = count(len(known), "process", "processes")
    if len(known) >= ENOUGH_PROCESSES:
        value, low, high = map(math.exp, exact_interval([math.log(one.value) for one in known]))
        return Estimate(value=value, low=low, high=high, basis=basis)
    sure = [one for one in known if one.low is not None and one.high is not None]
    if len(sure) < 2:
        return sure[0] if sure else Estimate(value=math.exp(median(math.log(one.value) for one in known)), basis=basis)
    logs = np.log([one.value for one in sure])
    weights = np.array([max(math.log(one.high / one.low) / (2 * _SD_95), _LEAST_SD)**-2 for one in sure])
    middle = (weights * logs).sum() / weights.sum()
    scale = max(1.0, math.sqrt((weights * (logs - middle)**2).sum() / (len(sure) - 1)))
    half = _SD_95 * scale / math.sqrt(weights.sum())
    return Estimate(value=math.exp(middle), low=math.exp(middle - half), high=math.exp(middle + half), basis=basis)


def measured(values: Sequence[float | None], kind: str) -> Estimate | None:
    """Of what each process measures once, by kind of ONCE."""
    known = [value for value in values if value is not None and value > 0]
    if not known:
        return exact(0.0) if any(value == 0 for value in values) else None
    return over_processes([wider(exact(value, "one process"), ONCE[kind]) for value in known])


def spread(one: Observation, kind: str) -> float:
    """Of another process beside this one, by kind of SPREAD."""
    quiet, waiting = SPREAD[kind]
    lost = one.record.conditions.turn_lost
    return quiet + waiting * (median(lost) if lost else 0.0)


def waited(observed: Sequence[Observation]) -> float | None:
    """The share of the time that threads waited for a core, of the median record."""
    found = [median(lost) for one in observed if (lost := one.record.conditions.turn_lost)]
    return median(found) if found else None


def speedup(observed: Sequence[Observation]) -> Estimate | None:
    """Times faster than eager; None where it was not measured in turns."""
    return over_processes([wider(_speedup(one), spread(one, "ratio")) for one in observed])


def _speedup(one: Observation) -> Estimate | None:
    timing = one.record.timing
    if not isinstance(timing, AgainstEager):
        return None
    return Estimate(value=timing.speedup_vs_eager, low=timing.speedup_low, high=timing.speedup_high,
                    basis=count(timing.pairs, "pair") + " of turns")


def latency(observed: Sequence[Observation]) -> Estimate | None:
    """Seconds of the median call: over the medians of its turns."""
    return over_processes([wider(_seconds(one.rounds, getattr(one.record.timing, "variant_turns", None), one.median_s),
                                 spread(one, "seconds")) for one in observed])


def eager_latency(observed: Sequence[Observation]) -> Estimate | None:
    """Of eager, from the turns that any variant took with it."""
    found = []
    for source in sorted({one.source for one in observed}):
        here = [one for one in observed if one.source == source and isinstance(one.record.timing, AgainstEager)]
        if here:
            rounds = [value for one in here for value in one.record.timing.reference_rounds]
            turns = [turn for one in here for turn in one.record.timing.reference_turns]
            found.append(wider(_seconds(rounds, turns, median(rounds)),
                               median(spread(one, "seconds") for one in here)))
    return over_processes(found)


def _seconds(rounds: Sequence[float], turns: Sequence[int] | None, median_s: float) -> Estimate:
    """`turns` is None of calls that were not in turns: each is one."""
    turns = [1] * len(rounds) if turns is None else turns
    if not rounds or sum(turns) != len(rounds):
        return Estimate(value=median_s, basis="no rounds in the file")
    found = ratio_of_pairs([math.log(value) for value in of_turns(rounds, turns, median)])
    if found.low is None:
        return Estimate(value=median_s, basis=count(len(turns), "turn"))
    return Estimate(value=median_s, low=min(found.low, median_s), high=max(found.high, median_s),
                    basis=count(len(turns), "turn"))


def of_turns(rounds: Sequence[float], turns: Sequence[int], what: Callable[[Sequence[float]], float]) -> list[float]:
    ends = np.cumsum(turns)
    return [what(rounds[end - turn:end]) for end, turn in zip(ends, turns, strict=True)]


def percentile(observed: Sequence[Observation], percent: int) -> tuple[Estimate | None, str]:
    """Seconds that `percent` of 100 calls do not exceed, or why they are not known."""
    found = []
    for one in observed:
        if one.record.timing.thinned_from_rounds is not None:
            return None, "the file was thinned: its slowest calls are not all in it"
        if len(one.rounds) < PERCENTILES[percent]:
            return None, f"p{percent} needs {PERCENTILES[percent]} calls, there are {len(one.rounds)}"
        found.append(wider(_percentile(one, percent / 100), spread(one, "seconds")))
    return over_processes(found), ""


def _percentile(one: Observation, share: float) -> Estimate:
    """With the interval between order statistics that holds it at 95 %, whatever the distribution; `high` is None where
    too few calls are beyond it."""
    ordered, n = np.sort(one.rounds), len(one.rounds)
    value = float(np.quantile(ordered, share, method="inverted_cdf"))
    turns = getattr(one.record.timing, "variant_turns", None) or [1] * n
    ends = _ranks(int(n / _design_effect(one.rounds, turns, value)), share)
    low, high = (None if end is None else float(np.quantile(ordered, end, method="inverted_cdf")) for end in ends)
    return Estimate(value=value, low=low, high=high, basis=count(n, "call"))


def _design_effect(rounds: Sequence[float], turns: Sequence[int], value: float) -> float:
    """How many calls tell as much as one independent one: those of one turn are alike (Kish, Survey Sampling, 5.4).

    The variance between turns of their numbers of slow calls, over what it would be of independent ones.
    """
    slow = np.array(of_turns(rounds, turns, lambda part: sum(call >= value for call in part)))
    share = slow.sum() / len(rounds)
    if len(turns) < 2 or share == 1:
        return 1.0
    between = ((slow - share * np.array(turns))**2).sum() * len(turns) / (len(turns) - 1)
    return max(1.0, float(between / (len(rounds) * share * (1 - share))))


def _ranks(n: int, share: float) -> tuple[float, float | None]:
    """Shares of the ordered calls between which the percentile lies at 95 %; None where no call is slow enough."""
    from scipy.stats import binom

    low, high = binom.ppf([0.025, 0.975], n, share) if n else (0, 0)
    return max(0.0, (low - 1) / n if n else 0.0), (high + 1) / n if n and high + 1 <= n else None


def faster(a: Sequence[Observation], b: Sequence[Observation]) -> Estimate | None:
    """How many times as fast as `b` `a` is, on one workload: by what each gained on the eager turns beside it.

    Where both ran in one process each pair of turns is one number, and the interval is the exact rank-sum one of their
    shift; files are processes, and are compared one by one. Where that gives no bounds, or the two intervals are
    disjoint, the ends of both decide.
    """
    by_source = {one.source: one for one in b}
    both = [(one, by_source[one.source]) for one in a if one.source in by_source]
    first, second = speedup(a), speedup(b)
    if first is None or second is None:
        return unpaired(a, b)
    ends = _of_ends(first, second)
    paired = over_processes([wider(_shift(*pair), math.hypot(*(spread(one, "ratio") for one in pair)))
                             for pair in both])
    if paired is None or paired.low is None:
        return ends
    if ends.low is not None and (ends.low > 1 or ends.high < 1):
        low = max(paired.low, ends.low) if ends.low > 1 else paired.low
        high = min(paired.high, ends.high) if ends.high < 1 else paired.high
        return Estimate(value=min(max(paired.value, low), high), low=low, high=high, basis=paired.basis)
    return paired


def unpaired(a: Sequence[Observation], b: Sequence[Observation]) -> Estimate | None:
    """How many times as fast as `b` `a` is where they took no turns with eager: by their seconds, so it is wide."""
    mine, others = latency(a), latency(b)
    return None if mine is None or others is None else _of_ends(others, mine)


def _of_ends(first: Estimate, second: Estimate) -> Estimate:
    if None in (first.low, first.high, second.low, second.high):
        return Estimate(value=first.value / second.value)
    return Estimate(value=first.value / second.value, low=first.low / second.high, high=first.high / second.low,
                    basis="both intervals")


def _shift(a: Observation, b: Observation) -> Estimate | None:
    if not a.log_ratios or not b.log_ratios:
        return None
    value, low, high = shift_interval(b.log_ratios, a.log_ratios)
    if low is None:
        return None
    basis = f"{len(a.log_ratios)} and {len(b.log_ratios)} pairs of turns"
    return Estimate(value=math.exp(value), low=math.exp(low), high=math.exp(high), basis=basis)


def mean(found: Sequence[Estimate | None]) -> Estimate | None:
    """Geometric mean of ratios, and of their ends: it covers what the least sure of them leaves open."""
    if not found or any(one is None for one in found):
        return None
    value = math.exp(math.fsum(math.log(one.value) for one in found) / len(found))
    if any(one.low is None or one.high is None for one in found):
        return Estimate(value=value)
    low, high = (math.exp(math.fsum(math.log(end) for end in ends) / len(found))
                 for ends in ([one.low for one in found], [one.high for one in found]))
    return Estimate(value=value, low=low, high=high, basis=found[0].basis)
