"""Corpus: how fast sentences of skewed length are processed, by batch size and batching policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from eagerbench.experiments.base import Experiment, Lines, Plot
from eagerbench.measuring import recording
from eagerbench.measuring.pass_run import PassRun
from eagerbench.models.specs import ModelSpec
from eagerbench.outputs.predictions import SENTENCE_EMBEDDING
from eagerbench.results.grid import Grid, interval
from eagerbench.results.numbers import three
from eagerbench.results.record import Count, Natural, PairedWithEager, Part, Positive, Record, Sha256, Text
from eagerbench.workloads.base import Workload, one_shape_only, text_only
from eagerbench.workloads.batching import POLICIES, Batches, padded_tokens
from eagerbench.workloads.corpus import Corpus, chosen

if TYPE_CHECKING:
    from eagerbench.measuring import timing
    from eagerbench.selection import Selection

# Batch sizes, policies, sentences, and pairs of turns.
GRIDS = {
    "smoke": ((4,), ("sorted",), 16, 2),
    "default": ((8,), ("in-order", "sorted"), 64, 6),
    "full": ((1, 2, 4, 8, 16, 32, 64), tuple(POLICIES), 1000, 6),
}


@dataclass(frozen=True)
class CorpusBatches(Workload):
    """Passes over a corpus in batches of `batch_size` by a policy, in `passes` pairs of turns with eager's."""

    corpus: Corpus
    batch_size: int
    policy: str
    passes: int

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", self.policy, self.corpus.name

    def refuses(self, spec, variant, backend):
        reason = text_only(spec) or one_shape_only(backend)
        if not reason and self.corpus.file is not None and spec.kind == "catalog":
            return f"{spec.name} has no tokenizer: it cannot read a text"
        return reason

    def batches(self, lengths: list[int]) -> Batches:
        return POLICIES[self.policy](lengths, self.batch_size)


def workloads(spec: ModelSpec, selection: "Selection") -> list[CorpusBatches]:
    """Each batch size by each policy of the grid, over the file that `--corpus` names or a generated corpus."""
    batch_sizes, policies, sentences, passes = GRIDS[selection.grid]
    corpus = chosen(selection, sentences)
    return [CorpusBatches(corpus, size, policy, passes)
            for size in selection.batch_sizes or batch_sizes for policy in policies]


class Sentences(Part, kw_only=True):
    """`truncated_sentences` were cut at `token_limit` tokens; `longest_sentence` is in tokens, after that.
    `corpus_sha256` is over all ids; `passes` were asked for: pairs of turns, and timed passes in older files."""

    sentences: Count
    blank_lines: Natural
    truncated_sentences: Natural
    token_limit: Count
    longest_sentence: Count
    corpus_sha256: Sha256
    batch_size: Count
    policy: Literal["in-order", "sorted", "bucketed"]
    passes: Count


class Result(Part, kw_only=True):
    """Of the median pass. `padding_efficiency` is the share of real tokens among all that are computed; `pooling`
    says how embeddings are made of states."""

    sentences_per_s: Positive
    tokens_per_s: Positive
    pass_s: Positive
    batches: Count
    real_tokens: Count
    padded_tokens: Count
    padding_efficiency: Annotated[float, Meta(gt=0, le=1)]
    pooling: Text | None = None


CorpusRecord = Record[Sentences, PairedWithEager, Result]


class CorpusRun(PassRun):
    """A pass takes turns with eager's over the same batches."""

    def prepare(self) -> None:
        self.corpus = self.once(self.work.corpus, lambda: self.work.corpus.tokenised(self.model))
        self.rows, self.batches = self.corpus.rows, self.work.batches(self.corpus.lengths)
        self.expected = self.expect(("corpus", self.work.corpus), self.rows, self.batches)

    def complete(self, timing: "timing.Timing") -> CorpusRecord:
        return self.assembled(
            CorpusRecord, self._sentences(), recording.paired_with_eager(timing), self._result(median(timing.rounds)),
            correctness=recording.correctness(self.case, self.comparison,
                                              rows_depend_on_batch=self.expected.same_batches))

    def _sentences(self) -> Sentences:
        work = self.work
        return Sentences(**work.corpus.facts(self.corpus), batch_size=work.batch_size, policy=work.policy,
                         passes=work.passes)

    def _result(self, pass_s: float) -> Result:
        lengths = self.corpus.lengths
        real, padded = sum(lengths), padded_tokens(lengths, self.batches)
        pooling = self.model.sentence.description if SENTENCE_EMBEDDING in self.expected.outputs else None
        return Result(sentences_per_s=len(lengths) / pass_s, tokens_per_s=real / pass_s, pass_s=pass_s,
                      batches=len(self.batches), real_tokens=real, padded_tokens=padded,
                      padding_efficiency=real / padded, pooling=pooling)


def tables(model: str, records: Sequence[CorpusRecord]) -> list[Grid]:
    """One pair of tables a corpus."""
    grids = []
    for corpus in dict.fromkeys(record.workload.corpus_sha256 for record in records):
        found = [record for record in records if record.workload.corpus_sha256 == corpus]
        grids += [_throughput(model, found), _padding(model, found)]
    return grids


Series = dict[tuple[str, str], dict[int, CorpusRecord]]


def series(records: Sequence[CorpusRecord]) -> Series:
    """(variant, policy) → batch size → record, batch sizes ascending."""
    found: Series = {}
    for record in sorted(records, key=lambda record: record.workload.batch_size):
        place = record.identity.variant, record.workload.policy
        found.setdefault(place, {})[record.workload.batch_size] = record
    order = {record.identity.variant: index for index, record in reversed(list(enumerate(records)))}
    return dict(sorted(found.items(), key=lambda item: order[item[0][0]]))


def _best(records: Sequence[CorpusRecord]) -> CorpusRecord:
    return max(records, key=lambda record: record.result.sentences_per_s)


def _throughput(model: str, records: Sequence[CorpusRecord]) -> Grid:
    found = series(records)
    sizes = sorted({record.workload.batch_size for record in records})
    shown = sizes if len(sizes) > 1 else []
    rows = []
    for (variant, policy), by_batch in found.items():
        best = _best(by_batch.values())
        rows.append([variant, policy, f"{best.result.sentences_per_s:.1f}", f"b{best.workload.batch_size}",
                     f"{best.result.tokens_per_s:.0f}", _times_eager(best),
                     f"{max(record.correctness.max_abs_error for record in by_batch.values()):.1e}",
                     *(f"{by_batch[size].result.sentences_per_s:.1f}" if size in by_batch else "–" for size in shown)])
    header = ["variant", "policy", "sentences/s", "best at", "real tokens/s", "times eager", "largest error",
              *(f"b{size}" for size in shown)]
    return Grid(f"{model}: corpus throughput", header, rows, _note(records[0]) + (
        " Times eager: at that batch size, in turns with eager over the same batches, with its 95 % interval."
        f" Fastest of all: {_fastest(records)}."))


def _times_eager(record: CorpusRecord) -> str:
    """Of one record, over the same batches: none in older files."""
    timing = record.timing
    if timing.speedup_vs_eager is None:
        return "–"
    return f"{timing.speedup_vs_eager:.2f}{interval(timing.speedup_low, timing.speedup_high)}"


def _fastest(records: Sequence[CorpusRecord]) -> str:
    best = _best(records)
    return (f"{best.identity.variant}, {best.workload.policy} in batches of {best.workload.batch_size}, "
            f"{best.result.sentences_per_s:.1f} sentences/s")


def _note(record: CorpusRecord) -> str:
    of = record.workload
    counted = {"blank lines skipped": of.blank_lines,
               f"sentences cut at {of.token_limit} tokens": of.truncated_sentences}
    said = "".join(f", {count} {what}" for what, count in counted.items() if count)
    return (f"{of.sentences} sentences of {record.result.real_tokens / of.sentences:.1f} tokens on average, "
            f"{of.longest_sentence} at most{said}; {of.passes} pairs of turns.")


def _padding(model: str, records: Sequence[CorpusRecord]) -> Grid:
    """Padding depends on policy and batch size only."""
    efficiency = {(record.workload.policy, record.workload.batch_size): record.result.padding_efficiency
                  for record in records}
    sizes = sorted({size for _, size in efficiency})
    policies = list(dict.fromkeys(policy for policy, _ in efficiency))
    rows = [[policy, *(f"{efficiency[policy, size]:.0%}" if (policy, size) in efficiency else "–" for size in sizes)]
            for policy in policies]
    return Grid(f"{model}: padding efficiency", ["policy", *(f"b{size}" for size in sizes)], rows,
                "Share of real tokens among all computed ones.")


def headline(record: CorpusRecord) -> str:
    return f"{three(record.result.sentences_per_s)} sentences/s"


def lines(records: Sequence[CorpusRecord]) -> Lines:
    """Sentences/s over the batch size, a line for each variant and policy."""
    return {place: {size: record.result.sentences_per_s for size, record in by_batch.items()}
            for place, by_batch in series(records).items()}


def rank(record: CorpusRecord) -> float:
    return record.result.sentences_per_s


EXPERIMENT = Experiment("corpus", 1, "How fast are many sentences processed, and what does sorting by length gain?",
                        workloads, CorpusRun, CorpusRecord, tables, headline, rank,
                        Plot(lines, "batch size", "sentences/s", "Higher is faster. `sorted` puts sentences of "
                             "similar length into one batch, so that less padding is computed. Bars span the timed "
                             "passes.", power=-1))
