"""What the serving experiment records, and what is printed and drawn of it."""

from collections.abc import Sequence
from statistics import median
from typing import Annotated, Literal

from msgspec import Meta

from eagerbench.experiments.base import Lines
from eagerbench.results.grid import Grid
from eagerbench.results.numbers import three
from eagerbench.results.record import Count, Natural, Part, Positive, Record, Seconds, Sha256, Text, WarmedUp
from eagerbench.shown import count

ONE_BY_ONE = "one-by-one"


class Queries(Part, kw_only=True):
    """`policy` answers up to `most_batch` queries in a call, for which the oldest waits `most_wait_s`, which is
    `wait_share` of the latency limit. A run has at least `least_queries` and takes `least_s`; there are
    `repeated_runs` at the rate that is found.

    Attributes:
        instances: processes on cores of their own that answer; 1 for the session's own process.
        instance_threads: of each.
        threads_of_all: `instances` times `instance_threads`. None, as the one above, in older files.
    """

    sentences: Count
    longest_sentence: Count
    corpus_sha256: Sha256
    policy: Literal["one-by-one", "dynamic"]
    most_batch: Count
    most_wait_s: Seconds
    wait_share: Annotated[float, Meta(ge=0, le=1)]
    p99_limit_s: Positive
    least_queries: Count
    least_s: Positive
    repeated_runs: Count
    loadgen: Text
    instances: Count = 1
    instance_threads: Count | None = None
    threads_of_all: Count | None = None


Numbers = list[Positive]


class Result(Part, kw_only=True):
    """
    Attributes:
        queries_per_s: the highest rate that was found to hold the limit, in more than half of its repeated runs; None
            where there is none, with the reason in `queries_missing`.
        queries_per_s_low: the highest rate at which every repeated run held it.
        queries_per_s_high: the lowest one above at which a run did not.
        limited_by: what ends the search above: the latency, Offline's throughput, or what the generator can carry.
        carried_per_s: queries a second that the generator carries with a system that does nothing.
        single_stream_s, single_stream_p99_s: latency of one query at a time, mean and p99.
        offline_per_s: samples a second when all are there at once.
        mean_batch: queries of a call, on average, at `queries_per_s`.
        rates, run_valid, run_queries, run_p50_s, run_p90_s, run_p99_s: an entry a Server run, in order.
    """

    queries_per_s: Positive | None
    queries_per_s_low: Positive | None
    queries_per_s_high: Positive | None
    queries_missing: Text | None
    limited_by: Literal["latency", "throughput", "load generator"]
    carried_per_s: Positive
    single_stream_s: Positive
    single_stream_p99_s: Positive
    offline_per_s: Positive
    mean_batch: Positive | None
    rates: Numbers
    run_valid: list[bool]
    run_queries: list[Natural]
    run_p50_s: Numbers
    run_p90_s: Numbers
    run_p99_s: Numbers

    def __post_init__(self):
        if len({len(self.rates), *(len(getattr(self, name)) for name in _OF_RUNS)}) > 1:
            raise ValueError(f"rates and {', '.join(_OF_RUNS)} have not as many entries")
        if (self.queries_per_s is None) != (self.queries_missing is not None):
            raise ValueError("queries_missing is the reason for no queries_per_s")


_OF_RUNS = ("run_valid", "run_queries", "run_p50_s", "run_p90_s", "run_p99_s")
ServingRecord = Record[Queries, WarmedUp, Result]


def tables(model: str, records: Sequence[ServingRecord]) -> list[Grid]:
    """Most queries a second first."""
    rows = [[_policy(record), record.identity.variant, f"{_rate(record)}{_bounds(record)}", _percentiles(record),
             f"{1e3 * record.result.single_stream_s:.1f}", f"{record.result.offline_per_s:.1f}", _runs(record)]
            for record in sorted(records, key=lambda record: -(record.result.queries_per_s or 0))]
    header = ["policy", "variant", "queries/s", "p50, p90, p99 there, ms", "alone, ms", "offline/s", "valid"]
    return [Grid(f"{model}: queries a second under load", header, rows, _note(records))]


def how(record: ServingRecord) -> str:
    """`dynamic, 8 in 5 ms, 2 × 1 thread`: instances × threads of each, where there are several."""
    of = record.workload
    batches = ONE_BY_ONE if of.most_batch == 1 else f"{of.policy}, {of.most_batch} in {1e3 * of.most_wait_s:g} ms"
    several = f", {of.instances} × {count(of.instance_threads, 'thread')}" if of.instances > 1 else ""
    return f"{batches}{several}"


def _policy(record: ServingRecord) -> str:
    return f"{how(record)}, p99 ≤ {1e3 * record.workload.p99_limit_s:g} ms"


def _rate(record: ServingRecord) -> str:
    found = record.result
    return f"– ({found.queries_missing})" if found.queries_per_s is None else f"{found.queries_per_s:.1f}"


def _bounds(record: ServingRecord) -> str:
    low, high = record.result.queries_per_s_low, record.result.queries_per_s_high
    if record.result.queries_per_s is None:
        return ""
    return f" [{'–' if low is None else f'{low:.1f}'}, {'–' if high is None else f'{high:.1f}'}]"


def _at(record: ServingRecord, name: str) -> list[float]:
    """Of every run at the rate that was found."""
    found = record.result
    return [value for rate, value in zip(found.rates, getattr(found, name), strict=True)
            if rate == found.queries_per_s]


def _percentiles(record: ServingRecord) -> str:
    if record.result.queries_per_s is None:
        return "–"
    return ", ".join(f"{1e3 * median(_at(record, name)):.1f}" for name in ("run_p50_s", "run_p90_s", "run_p99_s"))


def _runs(record: ServingRecord) -> str:
    valid = _at(record, "run_valid")
    return f"{sum(valid)} of {len(valid)}" if valid else "–"


def _note(records: Sequence[ServingRecord]) -> str:
    carried = min(record.result.carried_per_s for record in records)
    return ("Queries/s: the highest rate of a Poisson process at which the 99th percentile of the latencies, from the "
            "scheduled start on, holds the limit by the rules of MLPerf's load generator; in brackets the highest rate "
            "at which every repeated run held it, and the lowest above at which one did not. Alone: one query at a "
            "time. Offline: all queries there at once. Valid: runs at that rate. 2 × 1 thread: processes on cores of "
            "their own, and threads of each; else it is the session's own process with all of its threads. With a "
            f"system that does nothing the generator carries {carried:.0f} queries/s.")


def headline(record: ServingRecord) -> str:
    rate = record.result.queries_per_s
    return f"no rate at p99 ≤ {1e3 * record.workload.p99_limit_s:g} ms" if rate is None else f"{three(rate)} queries/s"


def lines(records: Sequence[ServingRecord]) -> Lines:
    """Milliseconds over the rate, a line for each variant, policy and percentile: medians of the runs at a rate."""
    found: Lines = {}
    for record in records:
        result = record.result
        for percentile in ("p50", "p90", "p99"):
            at: dict[float, list[float]] = {}
            for rate, value in zip(result.rates, getattr(result, f"run_{percentile}_s"), strict=True):
                at.setdefault(rate, []).append(1e3 * value)
            found[record.identity.variant, f"{percentile}, {_policy(record)}"] = {
                rate: median(values) for rate, values in sorted(at.items())}
    return found


def rank(record: ServingRecord) -> float | None:
    return record.result.queries_per_s
