"""Serving: how many queries a second are answered within a latency limit at the 99th percentile, under load.

MLPerf's load generator asks (`eagerbench/serving/`); it is in no default run, since it takes minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from eagerbench.errors import WrongOutput
from eagerbench.experiments.base import Experiment, Lines, Plot
from eagerbench.measuring import recording
from eagerbench.measuring.disturbance import Conditions
from eagerbench.measuring.pass_run import PassRun
from eagerbench.measuring.sentences import judge
from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid
from eagerbench.results.numbers import three
from eagerbench.results.record import Count, Natural, Part, Positive, Record, Seconds, Sha256, Text, WarmedUp
from eagerbench.serving import generator
from eagerbench.serving.measure import Measured, Plan
from eagerbench.serving.policy import Policy
from eagerbench.serving.served import Served
from eagerbench.workloads.base import Workload, one_shape_only, text_only
from eagerbench.workloads.batching import Batches, in_order
from eagerbench.workloads.corpus import Corpus, chosen

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing
    from eagerbench.selection import Selection

ONE_BY_ONE, DYNAMIC = "one-by-one", "dynamic"
# (largest batch, share of the latency limit that its oldest query waits for others) of each policy.
SMOKE = ((1, 0.0), (4, 0.1))
DEFAULT = ((1, 0.0), (8, 0.1))
FULL = ((1, 0.0), (8, 0.02), (8, 0.1), (8, 0.5), (32, 0.1))
# Policies, sentences, and how a rate is searched for.
GRIDS = {
    "smoke": (SMOKE, 16, Plan(ratio=1.5, repeats=2, least_s=0.5, limits=4)),
    "default": (DEFAULT, 64, Plan(ratio=1.1, repeats=6, least_s=2.0)),
    "full": (FULL, 1000, Plan(ratio=1.05, repeats=6, least_s=10.0)),
}


@dataclass(frozen=True)
class UnderLoad(Workload):
    """Queries for the sentences of a corpus, which come in at random times and are answered by a policy.

    Attributes:
        most_batch: queries of a call, at most.
        wait_share: of the limit, for which the oldest query waits for others.
        limit_s: that the 99th percentile of the latencies holds.
        plan: how the rate is searched for.
    """

    corpus: Corpus
    most_batch: int
    wait_share: float
    limit_s: float
    plan: Plan

    @property
    def policy(self) -> Policy:
        return Policy(self.most_batch, self.wait_share * self.limit_s)

    @property
    def name(self) -> str:
        return ONE_BY_ONE if self.most_batch == 1 else DYNAMIC

    @property
    def parts(self) -> tuple[str, ...]:
        batch = () if self.most_batch == 1 else (f"b{self.most_batch}", f"w{1e3 * self.policy.most_wait_s:g}ms")
        return self.name, *batch, f"p99-{1e3 * self.limit_s:g}ms", self.corpus.name

    def refuses(self, spec, variant, backend):
        reason = generator.missing() or text_only(spec) or one_shape_only(backend)
        if not reason and self.corpus.file is not None and spec.kind == "catalog":
            return f"{spec.name} has no tokenizer: it cannot read a text"
        return reason


def workloads(spec: ModelSpec, selection: "Selection") -> list[UnderLoad]:
    """Each policy of the grid, or one by one and dynamic batching of the sizes that `--batch-sizes` gives."""
    policies, sentences, plan = GRIDS[selection.grid]
    if selection.batch_sizes:
        policies = [(size, 0.1 if size > 1 else 0.0) for size in selection.batch_sizes]
    corpus, limit_s = chosen(selection, sentences), selection.p99_ms / 1e3
    return [UnderLoad(corpus, size, share, limit_s, plan) for size, share in policies]


class Queries(Part, kw_only=True):
    """`policy` answers up to `most_batch` queries in a call, for which the oldest waits `most_wait_s`, which is
    `wait_share` of the latency limit. A run has at least `least_queries` and takes `least_s`; there are
    `repeated_runs` at the rate that is found."""

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


class ServingRun(PassRun):
    """The sentences are passed over in batches, and judged; then the load generator asks for them."""

    def prepare(self) -> None:
        self.corpus = self.once(self.work.corpus, lambda: self.work.corpus.tokenised(self.model))
        self.rows, self.batches = self.corpus.rows, in_order(self.corpus.lengths, self.work.most_batch)
        self.expected = self.expect(("corpus", self.work.corpus), self.rows, self.batches)

    def complete(self, timing: "Timing") -> ServingRecord:
        work = self.work
        served = Served(self.built.runner, self.rows, self.model)
        carried = self.once(("load generator", work.limit_s), lambda: generator.carried(work.limit_s, len(self.rows)))
        found = work.plan.measure(served, work.policy, self.corpus.lengths, work.limit_s, carried)
        self.session.measured_s += found.seconds
        self.conditions = Conditions(found.turns)
        comparison, same_batches = self._judged(*served.kept())
        return self.assembled(
            ServingRecord, self._queries(), recording.warmed_up(timing), _result(found),
            correctness=recording.correctness(self.case, comparison, rows_depend_on_batch=same_batches))

    def _judged(self, batches: Batches, outputs: list):
        """The last answer to each sentence, padded as its batch was."""
        expected = self.expect(("corpus", self.work.corpus), self.rows, batches)
        comparison = judge(outputs, batches, expected, self.case.variant.tolerance, self.model.pretrained)
        if comparison.failures:
            raise WrongOutput(f"{self.case.bench_id}: output under load differs from eager beyond "
                              f"{self.case.variant.tolerance}: {'; '.join(comparison.failures)}")
        return comparison, expected.same_batches

    def _queries(self) -> Queries:
        work = self.work
        return Queries(sentences=work.corpus.sentences, longest_sentence=max(self.corpus.lengths),
                       corpus_sha256=self.corpus.sha256, policy=work.name, most_batch=work.most_batch,
                       most_wait_s=work.policy.most_wait_s, wait_share=work.wait_share, p99_limit_s=work.limit_s,
                       least_queries=generator.ENOUGH, least_s=work.plan.least_s, repeated_runs=work.plan.repeats,
                       loadgen=generator.version())


def _result(found: Measured) -> Result:
    runs = found.runs
    return Result(
        queries_per_s=found.rate, queries_per_s_low=found.sure, queries_per_s_high=found.fails,
        queries_missing=found.missing, limited_by=found.limited_by, carried_per_s=found.carried,
        single_stream_s=found.single.mean_s, single_stream_p99_s=found.single.p99_s,
        offline_per_s=found.offline.samples_per_s, mean_batch=found.mean_batch,
        rates=[rate for rate, _ in runs], run_valid=[run.valid for _, run in runs],
        run_queries=[run.queries for _, run in runs], run_p50_s=[run.p50_s for _, run in runs],
        run_p90_s=[run.p90_s for _, run in runs], run_p99_s=[run.p99_s for _, run in runs])


def tables(model: str, records: Sequence[ServingRecord]) -> list[Grid]:
    """Most queries a second first."""
    rows = [[_policy(record), record.identity.variant, f"{_rate(record)}{_bounds(record)}", _percentiles(record),
             f"{1e3 * record.result.single_stream_s:.1f}", f"{record.result.offline_per_s:.1f}", _runs(record)]
            for record in sorted(records, key=lambda record: -(record.result.queries_per_s or 0))]
    header = ["policy", "variant", "queries/s", "p50, p90, p99 there, ms", "alone, ms", "offline/s", "valid"]
    return [Grid(f"{model}: queries a second under load", header, rows, _note(records))]


def _policy(record: ServingRecord) -> str:
    of = record.workload
    how = ONE_BY_ONE if of.most_batch == 1 else f"{of.policy}, {of.most_batch} in {1e3 * of.most_wait_s:g} ms"
    return f"{how}, p99 ≤ {1e3 * of.p99_limit_s:g} ms"


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
    return ("Queries/s: the highest rate of a Poisson process at which the 99th percentile of the latency (from the "
            "scheduled start) holds the limit, by the rules of MLPerf's load generator. In brackets: the highest rate "
            "at which every repeated run held it, and the next higher one at which a run did not. Alone: one query at "
            "a time. Offline: all queries at once. Valid: runs at that rate that held the limit. The generator itself "
            f"can send {carried:.0f} queries/s to a system that does nothing.")


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


EXPERIMENT = Experiment("serving", 11, "How many queries a second are answered within a latency limit, under load?",
                        workloads, ServingRun, ServingRecord, tables, headline, rank,
                        Plot(lines, "queries/s", "latency, ms", "Lower is faster; a line that stays low farther to the "
                             "right sustains more queries. Queries come at random times. Where a line rises steeply, "
                             "they come faster than they are answered."), named=True)
