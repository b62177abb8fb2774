"""Embeddings: how fast texts become embeddings, tokenizer and pooling included, and what share of that is the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.errors import CannotRun
from eagerbench.experiments.base import Bars, Experiment
from eagerbench.measuring import recording
from eagerbench.measuring.pass_run import PassRun
from eagerbench.models.specs import ModelSpec
from eagerbench.outputs.predictions import SENTENCE_EMBEDDING
from eagerbench.outputs.tolerance import compare
from eagerbench.results.grid import Grid, interval
from eagerbench.results.numbers import milliseconds, three
from eagerbench.results.record import Count, Natural, PairedWithEager, Part, Positive, Record, Sha256, Share, Text
from eagerbench.statistics import exact_interval
from eagerbench.workloads.base import Workload, one_shape_only, text_only
from eagerbench.workloads.batching import Batches, in_order
from eagerbench.workloads.corpus import Corpus, chosen

if TYPE_CHECKING:
    from eagerbench.measuring.embedding import Requests
    from eagerbench.measuring.timing import Timing
    from eagerbench.selection import Selection

# Texts of a request, texts, and pairs of turns.
GRIDS = {
    "smoke": ((4,), 16, 2),
    "default": ((1, 8), 64, 6),
    "full": ((1, 8, 32), 1000, 6),
}


@dataclass(frozen=True)
class TextRequests(Workload):
    """Requests of `batch_size` texts of a corpus, in its order, in `passes` pairs of turns with eager's."""

    corpus: Corpus
    batch_size: int
    passes: int
    reads_texts = True

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", self.corpus.name

    def refuses(self, spec, variant, backend):
        if reason := text_only(spec) or one_shape_only(backend):
            return reason
        if backend.own_process:
            return "its calls go over a pipe, whose time a request would hold"
        if spec.task is not None:
            return f"{spec.name} has a head ({spec.task}): its texts have no embedding"
        return f"{spec.name} has no tokenizer: it cannot read a text" if spec.kind == "catalog" else None


def workloads(spec: ModelSpec, selection: "Selection") -> list[TextRequests]:
    """Requests of each size, over the file that `--corpus` names or a generated corpus."""
    batch_sizes, sentences, passes = GRIDS[selection.grid]
    corpus = chosen(selection, sentences)
    return [TextRequests(corpus, size, passes) for size in selection.batch_sizes or batch_sizes]


class Texts(Part, kw_only=True):
    """Requests of `batch_size` of the `sentences`. `truncated_sentences` were cut at `token_limit` tokens;
    `longest_sentence` is in tokens, after that. `corpus_sha256` is over all ids; `passes`: pairs of turns."""

    sentences: Count
    blank_lines: Natural
    truncated_sentences: Natural
    token_limit: Count
    longest_sentence: Count
    corpus_sha256: Sha256
    batch_size: Count
    passes: Count


class Result(Part, kw_only=True):
    """Of the median pass.

    Attributes:
        request_s: of a request, on average.
        model_share: the share of a request that is the model's forward call, over the timed turns, with its 95 %
            interval; the rest is the tokenizer, the runtime's inputs, outputs as arrays, and pooling.
        pooling: how an embedding is made of states.
    """

    texts_per_s: Positive
    request_s: Positive
    requests: Count
    real_tokens: Count
    model_share: Share
    model_share_low: Share | None
    model_share_high: Share | None
    pooling: Text


EmbeddingsRecord = Record[Texts, PairedWithEager, Result]


class EmbeddingsRun(PassRun):
    """A pass over all requests takes turns with eager's over the same texts."""

    def prepare(self) -> None:
        if self.model.tokenizer is None:
            raise CannotRun(f"{self.model.spec.name} has no tokenizer: it cannot read a text")
        self.corpus = self.once(self.work.corpus, lambda: self.work.corpus.tokenised(self.model))
        self.rows = self.corpus.rows
        self.batches: Batches = in_order(self.corpus.lengths, self.work.batch_size)
        self.expected = self.expect(("corpus", self.work.corpus), self.rows, self.batches)
        if SENTENCE_EMBEDDING not in self.expected.outputs:
            raise CannotRun(f"{type(self.model.module).__name__} gives {', '.join(self.expected.outputs)} and no "
                            "states of tokens: its texts have no embedding")
        if self.model.sentence.not_understood:
            raise CannotRun(f"its pooling is not understood ({self.model.sentence.not_understood})")

    @property
    def texts(self) -> tuple[str, ...]:
        return self.work.corpus.texts

    def call(self, texts: Sequence[str]) -> "Requests":
        """The variant on one request after another."""
        from eagerbench.measuring.embedding import Requests, encoder

        self._requests = Requests(encoder(self.built, self.model), texts, self.batches)
        return self._requests

    def eager(self, texts: Sequence[str]) -> "Requests":
        """Eager on the very same requests, with the same tokenizer and pooling as every variant on arrays."""
        from eagerbench.measuring.embedding import Encoder, Requests

        return Requests(Encoder(self.reference.runner, self.model), texts, self.batches)

    def judge(self, timing):
        """Embeddings alone: they are all that a request returns."""
        expected = self.expected
        single, double = ({SENTENCE_EMBEDDING: outputs[SENTENCE_EMBEDDING]}
                          for outputs in (expected.outputs, expected.double))
        return compare({SENTENCE_EMBEDDING: np.concatenate(timing.result)}, single, double, None,
                       self.case.variant.tolerance, self.model.pretrained, expected.problem_type, expected.scales)

    def complete(self, timing: "Timing") -> EmbeddingsRecord:
        return self.assembled(
            EmbeddingsRecord, self._texts(), recording.paired_with_eager(timing), self._result(timing),
            correctness=recording.correctness(self.case, self.comparison,
                                              rows_depend_on_batch=self.expected.same_batches))

    def _texts(self) -> Texts:
        work = self.work
        return Texts(**work.corpus.facts(self.corpus), batch_size=work.batch_size, passes=work.passes)

    def _result(self, timing: "Timing") -> Result:
        pass_s, lengths = median(timing.rounds), self.corpus.lengths
        share, low, high = exact_interval([fmean(turn) for turn in recording.by_turn(
            self._requests.shares, timing.turns)])
        return Result(texts_per_s=len(lengths) / pass_s, request_s=pass_s / len(self.batches),
                      requests=len(self.batches), real_tokens=sum(lengths), model_share=share, model_share_low=low,
                      model_share_high=high, pooling=self.model.sentence.description)


def tables(model: str, records: Sequence[EmbeddingsRecord]) -> list[Grid]:
    """One table a corpus: by the size of a request, most texts a second first."""
    grids = []
    for corpus in dict.fromkeys(record.workload.corpus_sha256 for record in records):
        found = [record for record in records if record.workload.corpus_sha256 == corpus]
        ordered = sorted(found, key=lambda record: (record.workload.batch_size, -record.result.texts_per_s))
        grids.append(Grid(f"{model}: texts to embeddings", _HEADER, list(map(_row, ordered)), _note(found[0])))
    return grids


_HEADER = ["texts a request", "variant", "texts/s", "a request", "times eager", "model's share", "largest error"]


def _row(record: EmbeddingsRecord) -> list[str]:
    timing, found = record.timing, record.result
    return [str(record.workload.batch_size), record.identity.variant, f"{found.texts_per_s:.1f}",
            milliseconds(found.request_s),
            _with(timing.speedup_vs_eager, timing.speedup_low, timing.speedup_high),
            _with(found.model_share, found.model_share_low, found.model_share_high),
            f"{record.correctness.max_abs_error:.1e}"]


def _with(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{value:.2f}{interval(low, high)}"


def _note(record: EmbeddingsRecord) -> str:
    of = record.workload
    counted = {"blank lines skipped": of.blank_lines,
               f"texts cut at {of.token_limit} tokens": of.truncated_sentences}
    said = "".join(f", {count} {what}" for what, count in counted.items() if count)
    return (f"{of.sentences} texts of {record.result.real_tokens / of.sentences:.1f} tokens on average{said}. The time "
            "of a request has the tokenizer, the model, and pooling in it. Times eager: in turns with eager on the "
            "same texts. Model's share: of the forward call in that time. Both with 95 % intervals.")


def headline(record: EmbeddingsRecord) -> str:
    return f"{three(record.result.texts_per_s)} texts/s"


def rank(record: EmbeddingsRecord) -> float:
    return record.result.texts_per_s


def parts_of_request(record: EmbeddingsRecord) -> dict[str, float]:
    """Milliseconds."""
    whole, share = 1e3 * record.result.request_s, record.result.model_share
    return {"model": whole * share, "texts, arrays and pooling": whole * (1 - share)}


EXPERIMENT = Experiment("embeddings", 12, "How fast do texts become embeddings, and what share of that is the model?",
                        workloads, EmbeddingsRun, EmbeddingsRecord, tables, headline, rank,
                        Bars(parts_of_request, "milliseconds of a request", "Shorter is faster. What is not the model "
                             "is paid by every request too: the tokenizer, inputs and outputs, and pooling."),
                        named=True)
