"""Serving: how many queries a second are answered within a latency limit at the 99th percentile, under load.

MLPerf's load generator asks (`eagerbench/serving/`); it is in no default run, since it takes minutes.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eagerbench.errors import WrongOutput
from eagerbench.experiments.base import Experiment, Plot
from eagerbench.experiments.serving_tables import (
    ONE_BY_ONE,
    Queries,
    Result,
    ServingRecord,
    headline,
    lines,
    rank,
    tables,
)
from eagerbench.measuring import recording
from eagerbench.measuring.disturbance import Conditions
from eagerbench.measuring.pass_run import PassRun
from eagerbench.measuring.sentences import judge, padded
from eagerbench.models.specs import ModelSpec
from eagerbench.serving import generator, side_by_side
from eagerbench.serving.measure import Measured, Plan
from eagerbench.serving.policy import Policy
from eagerbench.serving.served import Served
from eagerbench.serving.side_by_side import SideBySide
from eagerbench.workloads.base import Workload, one_shape_only, text_only
from eagerbench.workloads.batching import Batches, in_order
from eagerbench.workloads.corpus import Corpus, chosen
from eagerbench.workloads.processes import cannot_pin, compiled_again, cores_of, instance_cores

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing
    from eagerbench.selection import Selection

DYNAMIC = "dynamic"
# (largest batch, share of the latency limit that its oldest query waits for others) of each policy.
SMOKE = ((1, 0.0), (4, 0.1))
DEFAULT = ((1, 0.0), (8, 0.1), (8, 0.5))
FULL = ((1, 0.0), (8, 0.02), (8, 0.1), (8, 0.5), (32, 0.1))
# Those that instances on cores of their own answer by, too.
OF_INSTANCES = {"smoke": ((1, 0.0),), "default": ((1, 0.0),), "full": ((1, 0.0), (8, 0.1))}
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
        instances, instance_threads: processes on cores of their own that answer, each with so many threads; this
            process alone with its own threads for 1.
        cores: physical ones that this process may use.
        grid, device: of the selection.
    """

    corpus: Corpus
    most_batch: int
    wait_share: float
    limit_s: float
    plan: Plan
    instances: int = 1
    instance_threads: int = 1
    cores: int = 1
    grid: str = "default"
    device: str = "cpu"

    @property
    def policy(self) -> Policy:
        return Policy(self.most_batch, self.wait_share * self.limit_s)

    @property
    def name(self) -> str:
        return ONE_BY_ONE if self.most_batch == 1 else DYNAMIC

    @property
    def parts(self) -> tuple[str, ...]:
        batch = () if self.most_batch == 1 else (f"b{self.most_batch}", f"w{1e3 * self.policy.most_wait_s:g}ms")
        several = () if self.instances == 1 else (f"i{self.instances}", f"t{self.instance_threads}")
        return self.name, *batch, *several, f"p99-{1e3 * self.limit_s:g}ms", self.corpus.name

    def refuses(self, spec, variant, backend):
        reason = generator.missing() or text_only(spec) or one_shape_only(backend)
        if not reason and self.corpus.file is not None and spec.kind == "catalog":
            return f"{spec.name} has no tokenizer: it cannot read a text"
        if not reason and self.instances > 1:
            reason = cannot_pin(backend, self.device, self.cores) or compiled_again(backend, self.grid)
        return reason


def workloads(spec: ModelSpec, selection: "Selection") -> list[UnderLoad]:
    """Each policy of the grid, or one by one and dynamic batching of the sizes that `--batch-sizes` gives; some of them
    also by an instance a core."""
    policies, sentences, plan = GRIDS[selection.grid]
    corpus, limit_s, cores = chosen(selection, sentences), selection.p99_ms / 1e3, instance_cores()
    of_instances = OF_INSTANCES[selection.grid]
    if selection.batch_sizes:
        policies = [(size, 0.1 if size > 1 else 0.0) for size in selection.batch_sizes]
        of_instances = [one for one in of_instances if one in policies]
    return [*(UnderLoad(corpus, size, share, limit_s, plan) for size, share in policies),
            *(UnderLoad(corpus, size, share, limit_s, plan, max(cores, 2), 1, cores, selection.grid, selection.device)
              for size, share in of_instances)]


class ServingRun(PassRun):
    """The sentences are passed over in batches, and judged; then the load generator asks for them."""

    def prepare(self) -> None:
        self.corpus = self.once(self.work.corpus, lambda: self.work.corpus.tokenised(self.model))
        self.rows, self.batches = self.corpus.rows, in_order(self.corpus.lengths, self.work.most_batch)
        self.expected = self.expect(("corpus", self.work.corpus), self.rows, self.batches)

    def complete(self, timing: "Timing") -> ServingRecord:
        work = self.work
        carried = self.once(("load generator", work.limit_s), lambda: generator.carried(work.limit_s, len(self.rows)))
        with self._answering() as answering:
            found = work.plan.measure(answering, work.policy, self.corpus.lengths, work.limit_s, carried)
            self.session.measured_s += found.seconds
            self.conditions = Conditions(found.turns)
            comparison, same_batches = self._judged(*answering.kept())
        return self.assembled(
            ServingRecord, self._queries(), recording.warmed_up(timing), _result(found),
            correctness=recording.correctness(self.case, comparison, rows_depend_on_batch=same_batches))

    @contextlib.contextmanager
    def _answering(self) -> Iterator[Served | SideBySide]:
        """What answers: this process, or instances."""
        work = self.work
        if work.instances == 1:
            yield Served(self.built.runner, self.rows, self.model)
            return
        every = next(padded(self.rows, [list(range(len(self.rows)))], self.model))
        with self.session.processes.side_by_side(
                side_by_side.__name__, self.case.model, self.built, [every],
                cores_of(work.instances, work.instance_threads), lengths=list(map(int, self.corpus.lengths)),
                most_batch=work.most_batch) as started, contextlib.closing(SideBySide(*started)) as answering:
            yield answering

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
        threads = work.instance_threads if work.instances > 1 else self.built.runner.threads
        return Queries(sentences=work.corpus.sentences, longest_sentence=max(self.corpus.lengths),
                       corpus_sha256=self.corpus.sha256, policy=work.name, most_batch=work.most_batch,
                       most_wait_s=work.policy.most_wait_s, wait_share=work.wait_share, p99_limit_s=work.limit_s,
                       least_queries=generator.ENOUGH, least_s=work.plan.least_s, repeated_runs=work.plan.repeats,
                       loadgen=generator.version(), instances=work.instances, instance_threads=threads,
                       threads_of_all=work.instances * threads)


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


EXPERIMENT = Experiment("serving", 11, "How many queries a second are answered within a latency limit, under load?",
                        workloads, ServingRun, ServingRecord, tables, headline, rank,
                        Plot(lines, "queries/s", "latency, ms", "Lower is faster; a line that stays low farther to the "
                             "right sustains more queries. Queries come at random times. Where a line rises steeply, "
                             "they come faster than they are answered."), named=True)
