"""Quality: what a variant does to the embeddings or labels of a trained model. One pass; the numbers are not times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.errors import CannotRun
from eagerbench.experiments.base import Dots, Experiment
from eagerbench.experiments.quality_tables import (
    QualityRecord,
    Result,
    Sentences,
    facts,
    headline,
    number,
    rank,
    tables,
)
from eagerbench.measuring import recording, sentences
from eagerbench.measuring.pass_run import PassRun
from eagerbench.measuring.sentences import Pass
from eagerbench.measuring.timing import time_once
from eagerbench.models.specs import ModelSpec, read_config
from eagerbench.outputs import quality
from eagerbench.outputs.places import per_token
from eagerbench.outputs.predictions import AGREEMENT_ROWS, SENTENCE_EMBEDDING
from eagerbench.outputs.tolerance import compare
from eagerbench.results.record import Timing
from eagerbench.shown import count
from eagerbench.workloads import labelled, workload
from eagerbench.workloads.base import OneBatch, Workload, another_build, text_only
from eagerbench.workloads.batching import Batches, by_length
from eagerbench.workloads.corpus import Corpus, Tokenised, chosen
from eagerbench.workloads.labelled import LabelledTexts, RetrievalTexts
from eagerbench.workloads.padded_batch import pad
from eagerbench.workloads.pairs import EvalPairs, read_pairs

if TYPE_CHECKING:
    from eagerbench.measuring import timing
    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

BATCH_SIZE = 16
GRIDS = {"smoke": 32, "default": 96, "full": 1000}  # sentences
CLASSIFIER = "sequence-classification"


@dataclass(frozen=True)
class QualityTexts(Workload):
    """Texts, one embedding or label each, in batches of BATCH_SIZE sorted by length.

    Attributes:
        rebuilds: whether a variant whose build serves one shape is built anew for it.
        shape: what such a variant is built for anyway, else: its texts go through that build.
    """

    corpus: Corpus
    rebuilds: bool = False
    shape: OneBatch | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.corpus.name,)

    @property
    def option(self) -> str | None:
        by_kind = {RetrievalTexts: labelled.RETRIEVAL, LabelledTexts: labelled.LABELS}
        option = by_kind.get(type(self.corpus))
        return option and f"{option} {self.corpus.file}"

    def refuses(self, spec, variant, backend):
        if spec.kind == "catalog":
            return f"{spec.name} has random weights: their quality means nothing; take a trained model"
        if spec.kind == "factory":
            return (f"whether the weights of {spec.name} are trained cannot be seen: save_pretrained() it and name the "
                    "directory")
        labels = isinstance(self.corpus, LabelledTexts)
        if labels and spec.kind == "directory" and spec.task != CLASSIFIER:
            return f"{spec.name} is no sequence classifier: none of its texts gets a label"
        if labels and spec.kind == "directory" and (reason := labelled.no_labels(read_config(spec), spec.name)):
            return reason
        if not labels and spec.task is not None:
            return f"{spec.name} has a head for {spec.task}: its texts have no embedding; take an embedding model"
        if not labels and self.corpus.sentences < AGREEMENT_ROWS and not isinstance(self.corpus, RetrievalTexts):
            given = count(self.corpus.sentences, "sentence")
            return f"{given}: at least {AGREEMENT_ROWS} are needed to have neighbours"
        return text_only(spec) or another_build(backend, self.rebuilds or self.shape is not None)

    @property
    def shape_of(self) -> Workload:
        return self if self.shape is None else self.shape

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """The first batch, as wide as the longest text: the one shape of a build that serves one only."""
        rows = self.corpus.tokenised(model).rows
        return next(one_shape(rows, by_length([len(row) for row in rows], BATCH_SIZE), model))


def one_shape(rows, batches: Batches, model: "LoadedModel", batch_size: int = BATCH_SIZE, length: int | None = None):
    """The model's inputs for each batch, all of one shape: padded to `length` (default: the longest row of all), short
    batches filled up with their last row."""
    longest = length or max(map(len, rows))
    for batch in batches:
        filled = [*batch, *[batch[-1]] * (batch_size - len(batch))]
        yield pad([rows[index] for index in filled], model, longest)


def workloads(spec: ModelSpec, selection: "Selection") -> list[QualityTexts]:
    """Generated sentences, or the first ones that `--corpus` names, and what `--eval`, `--retrieval` and `--labels`
    name.

    Raises:
        BadInput: of a file, or a label in it that the model has not.
    """
    number = GRIDS[selection.grid]
    found: list[Corpus] = [chosen(selection, number, most=number)]
    if selection.eval is not None:
        found.append(EvalPairs(2 * len(read_pairs(selection.eval).scores), 0, selection.eval))
    if selection.retrieval is not None:
        read = labelled.read_retrieval(selection.retrieval)
        found.append(RetrievalTexts(len(read.queries) + len(read.documents), 0, selection.retrieval))
    if selection.labels is not None:
        found.append(LabelledTexts(len(labelled.read_labels(selection.labels).texts), 0, selection.labels))
        if spec.kind == "directory" and spec.task == CLASSIFIER and not labelled.no_labels(read_config(spec), ""):
            labelled.indices(selection.labels, labelled.label_names(read_config(spec)))
    if selection.grid == "full":
        return [QualityTexts(corpus, rebuilds=True) for corpus in found]
    length, size = max((length, size) for size, length in selection.built_shapes)
    shared = None if text_only(spec) else workload(spec, size, length, selection.seed)
    # Whoever names variants and a file waits for their builds; else one text at a time through what is there.
    return [QualityTexts(found[0], shape=shared),
            *(QualityTexts(corpus, rebuilds=selection.every_variant) for corpus in found[1:])]


class OneShapePass(Pass):
    """A pass in batches of one shape; `cut` takes the padding off what it returned. `length` None: that of the longest
    row."""

    batch_size: int = BATCH_SIZE
    length: int | None = None

    @classmethod
    def shaped(cls, rows, batches, model):
        return one_shape(rows, batches, model, cls.batch_size, cls.length)

    @classmethod
    def cut(cls, outputs, batches, lengths) -> list[dict[str, np.ndarray]]:
        """Outputs as batches without filling, padded to their longest row, would have given."""
        shape = cls.batch_size, cls.length or max(lengths)
        return [{name: array[:len(batch), :max(lengths[index] for index in batch)]
                 if per_token(name, array, shape) else array[:len(batch)] if array.ndim else array
                 for name, array in of_batch.items()}
                for batch, of_batch in zip(batches, outputs, strict=True)]


@cache
def pass_of(shape: OneBatch) -> type[OneShapePass]:
    """A pass in batches of a build's own shape."""
    return type("OneShapePass", (OneShapePass,), {"batch_size": shape.batch_size, "length": shape.sequence_length})


class QualityRun(PassRun):
    """Builds that serve one shape get batches of one."""

    def prepare(self) -> None:
        self.corpus = self.once(self.work, lambda: tokenised(self.work.corpus, self.model))
        self.rows, batch_size, self.kind = self.corpus.rows, BATCH_SIZE, Pass
        if self.built.backend.per_workload:
            self.kind = OneShapePass if self.work.shape is None else pass_of(self.work.shape)
            batch_size = self.kind.batch_size
            if self.kind.length and self.kind.length < max(self.corpus.lengths):
                raise CannotRun(f"its build serves {self.kind.length} tokens, a sentence has "
                                f"{max(self.corpus.lengths)}; add --grid full")
        self.batches = by_length(self.corpus.lengths, batch_size)
        self.expected = self.expect(("quality", self.work), self.rows, self.batches)
        self._output = judged_output(self.expected.outputs, self.model, self.work.corpus)
        self._finite = np.isfinite(self.expected.outputs[self._output]).all(1)
        if not isinstance(self.work.corpus, LabelledTexts | RetrievalTexts) and self._finite.sum() < AGREEMENT_ROWS:
            raise CannotRun(f"eager's embeddings are finite for {self._finite.sum()} of {len(self._finite)} "
                            f"sentences: at least {AGREEMENT_ROWS} are needed to have neighbours")

    def single(self, call: Pass) -> "timing.Timing":
        """One pass, even if disturbed, because its time is not the result. The first call is that of one batch."""
        first_call_s = self.first_call(call)
        timing = time_once(self.benchmark, call)
        return replace(timing, first_call_s=first_call_s, spent_s=first_call_s + timing.spent_s)

    def judge(self, timing):
        """By the output that the metric is read from: the largest error of millions of token states grows with their
        number. Agreement of predictions is what is asked here: no class demands it."""
        outputs = self.kind.cut(timing.result, self.batches, self.corpus.lengths)
        found = sentences.of_sentences(outputs, self.batches, self.corpus.lengths, self.expected.embed)
        self._got, name = found.get(self._output), self._output
        return compare({} if self._got is None else {name: self._got}, {name: self.expected.outputs[name]},
                       {name: self.expected.double[name]}, None, self.case.variant.tolerance, False,
                       self.expected.problem_type, self.expected.scales)

    def complete(self, timing: "timing.Timing") -> QualityRecord:
        corpus, work = self.corpus, self.work.corpus
        left_out = work.blank_lines if isinstance(work, LabelledTexts | RetrievalTexts) else 0
        return self.assembled(
            QualityRecord,
            Sentences(sentences=work.sentences, truncated_sentences=corpus.truncated, token_limit=corpus.limit,
                      corpus_sha256=corpus.sha256, batch_size=BATCH_SIZE, lines_without_text=left_out),
            Timing(), self._result(),
            correctness=recording.correctness(self.case, self.comparison,
                                              rows_depend_on_batch=self.expected.same_batches))

    def _result(self) -> Result:
        got, want = self._got, self.expected.outputs[self._output]
        shared = {"real_tokens": sum(self.corpus.lengths), "sentences_not_finite": int((~self._finite).sum())}
        corpus = self.work.corpus
        if isinstance(corpus, LabelledTexts):
            right = corpus.right(labelled.label_names(self.model.config.to_dict()))
            return Result(**facts(quality.of_labels(got, want, right)), **shared)
        cosines = quality.cosine(got[self._finite], want[self._finite])
        shared |= {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}
        if isinstance(corpus, RetrievalTexts):
            twins = first_of_equal(self.rows)
            found = quality.of_search(got[twins], want[twins], corpus.read.relevant)
            return Result(**facts(found), **shared, pooling=self.model.sentence.search_description)
        different = [index for index in distinct(self.rows) if self._finite[index]]
        found = quality.of_neighbours(got[different], want[different])
        shared |= {"pooling": self.model.sentence.description, "neighbours_changed": found.loss.value,
                   "distinct_sentences": found.items}
        if not isinstance(corpus, EvalPairs):
            return Result(**facts(found), **shared)
        both = self._finite.reshape(2, -1).all(0)
        chosen_rows, scores = np.tile(both, 2), np.asarray(corpus.scores)[both]
        pairs = quality.of_pairs(got[chosen_rows], want[chosen_rows], scores)
        return Result(**facts(pairs), **shared, pairs_scored=pairs.items, spearman=pairs.value,
                      spearman_eager=pairs.value_eager)


def first_of_equal(rows: Sequence[np.ndarray]) -> list[int]:
    """For each row of ids the index of the first one that is equal: a model cannot tell them apart."""
    first: dict[bytes, int] = {}
    return [first.setdefault(row.tobytes(), index) for index, row in enumerate(rows)]


def distinct(rows: Sequence[np.ndarray]) -> list[int]:
    """Indices of the first of equal rows: a twin would be a neighbour that nothing can change."""
    return sorted(set(first_of_equal(rows)))


def tokenised(corpus: Corpus, model: "LoadedModel") -> Tokenised:
    if not model.pretrained:
        raise CannotRun(f"{model.spec.name} has random weights: their quality means nothing; take a trained model")
    if isinstance(corpus, LabelledTexts):
        return corpus.tokenised(model)
    sentence = model.sentence
    if sentence.not_understood:
        raise CannotRun(f"modules.json of {model.spec.name} is not understood ({sentence.not_understood}): its "
                        "embedding cannot be made here")
    if isinstance(corpus, RetrievalTexts) and sentence.roles and not sentence.pool_prompt:
        raise CannotRun(f"{model.spec.name} has prompts for queries and documents that are not pooled: not supported")
    return corpus.tokenised(model)


def judged_output(outputs: dict[str, np.ndarray], model: "LoadedModel", corpus: Corpus) -> str:
    """Name of the output that the metric is read from.

    Raises:
        CannotRun: there is no such output.
    """
    wanted = "logits" if isinstance(corpus, LabelledTexts) else SENTENCE_EMBEDDING
    if wanted in outputs:
        return wanted
    given = f"{type(model.module).__name__} gives {', '.join(outputs)}"
    raise CannotRun(f"{given}, no logits: take a sequence classifier" if wanted == "logits" else
                    f"{given}, no states to pool: take an embedding model")


EXPERIMENT = Experiment("quality", 7, "What does a variant do to embeddings or labels of a trained model?", workloads,
                        QualityRun, QualityRecord, tables, headline, rank,
                        Dots(number, "quality lost against eager, points", "Left is better: how much the variant's "
                             "metric is below eager's, in hundredths, with the 95 % interval. Neighbours kept show how "
                             "close it is to eager; only labels show whether it is worse.", most=False),
                        most_s=7200.0, everywhere=True)
