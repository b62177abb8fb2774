"""Quality: what a variant does to the sentence embeddings of a trained model. One timed pass; the numbers are not
times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.errors import CannotRun
from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.measuring import recording, sentences
from eagerbench.measuring.disturbance import Conditions
from eagerbench.measuring.pass_run import PassRun
from eagerbench.measuring.sentences import Pass
from eagerbench.models.specs import ModelSpec
from eagerbench.outputs.places import per_token
from eagerbench.outputs.predictions import AGREEMENT_ROWS, SENTENCE_EMBEDDING, nearest_rows
from eagerbench.results.grid import Grid
from eagerbench.results.record import Cosine, Count, Natural, Part, Record, Sha256, Share, Text, Timing
from eagerbench.shown import count
from eagerbench.workloads.base import Workload, another_build, text_only
from eagerbench.workloads.batching import Batches, by_length
from eagerbench.workloads.corpus import Corpus, Tokenised, chosen
from eagerbench.workloads.padded_batch import pad
from eagerbench.workloads.pairs import EvalPairs, read_pairs

if TYPE_CHECKING:
    from eagerbench.measuring import timing
    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

BATCH_SIZE = 16
GRIDS = {"smoke": 32, "default": 96, "full": 1000}  # sentences


@dataclass(frozen=True)
class Embeddings(Workload):
    """Sentences, one embedding each, in batches of BATCH_SIZE sorted by length.

    Attributes:
        rebuilds: whether a variant whose build serves one shape is built anew for it.
    """

    corpus: Corpus
    rebuilds: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.corpus.name,)

    def refuses(self, spec, variant, backend):
        if spec.kind == "catalog":
            return f"{spec.name} has random weights: their quality means nothing; take a trained model"
        if spec.kind == "factory":
            return (f"whether the weights of {spec.name} are trained cannot be seen: save_pretrained() it and name the "
                    "directory")
        if self.corpus.sentences < AGREEMENT_ROWS:
            given = count(self.corpus.sentences, "sentence")
            return f"{given}: at least {AGREEMENT_ROWS} are needed to have neighbours"
        return text_only(spec) or another_build(backend, self.rebuilds)

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """The first batch, as wide as the longest sentence: the one shape of a build that serves one only."""
        rows = self.corpus.tokenised(model).rows
        return next(one_shape(rows, by_length([len(row) for row in rows], BATCH_SIZE), model))


def one_shape(rows, batches: Batches, model: "LoadedModel"):
    """The model's inputs for each batch, all of one shape: padded to the longest row of all, short batches filled up
    with their last row."""
    longest = max(map(len, rows))
    for batch in batches:
        filled = [*batch, *[batch[-1]] * (BATCH_SIZE - len(batch))]
        yield pad([rows[index] for index in filled], model, longest)


def workloads(spec: ModelSpec, selection: "Selection") -> list[Embeddings]:
    """Generated sentences, or the first ones that `--corpus` names, and the pairs that `--eval` names."""
    count, rebuilds = GRIDS[selection.grid], selection.grid == "full"
    found = [chosen(selection, count, most=count)]
    if selection.eval is not None:
        found.append(EvalPairs(2 * len(read_pairs(selection.eval).scores), 0, selection.eval))
    return [Embeddings(corpus, rebuilds) for corpus in found]


class Sentences(Part, kw_only=True):
    """`truncated_sentences` were cut at `token_limit` tokens; `corpus_sha256` is over all ids."""

    sentences: Count
    truncated_sentences: Natural
    token_limit: Count | None = None
    corpus_sha256: Sha256
    batch_size: Count


class Result(Part, kw_only=True):
    """Embeddings against eager's, of sentences whose own are finite in eager.

    Attributes:
        neighbours_changed: share of sentences with another nearest one, among the `distinct_sentences`.
        cosine_mean, cosine_min: of an embedding with eager's.
        pooling: how embeddings are made of states.
        spearman, spearman_eager: rank correlation of the cosines of `pairs_scored` pairs with their scores.
    """

    neighbours_changed: Share
    distinct_sentences: Count
    cosine_mean: Cosine
    cosine_min: Cosine
    real_tokens: Count
    pooling: Text | None = None
    sentences_not_finite: Natural = 0
    pairs_scored: Count | None = None
    spearman: Cosine | None = None
    spearman_eager: Cosine | None = None

    def __post_init__(self):
        if self.spearman is not None and None in (self.spearman_eager, self.pairs_scored):
            raise ValueError("spearman without spearman_eager and pairs_scored")


QualityRecord = Record[Sentences, Timing, Result]


class OneShapePass(Pass):
    """A pass in batches of one shape; `cut` takes the padding off what it returned."""

    @staticmethod
    def shaped(rows, batches, model):
        return one_shape(rows, batches, model)

    @staticmethod
    def cut(outputs, batches, lengths) -> list[dict[str, np.ndarray]]:
        """Outputs as batches without filling, padded to their longest row, would have given."""
        shape = BATCH_SIZE, max(lengths)
        return [{name: array[:len(batch), :max(lengths[index] for index in batch)]
                 if per_token(name, array, shape) else array[:len(batch)] if array.ndim else array
                 for name, array in of_batch.items()}
                for batch, of_batch in zip(batches, outputs, strict=True)]


class QualityRun(PassRun):
    """Builds that serve one shape get batches of one."""

    def prepare(self) -> None:
        self.kind = OneShapePass if self.built.backend.per_workload else Pass
        self.corpus = self.once(self.work, lambda: _tokenised(self.work.corpus, self.model))
        self.rows, self.batches = self.corpus.rows, by_length(self.corpus.lengths, BATCH_SIZE)
        self.expected = self.expect(("quality", self.work), self.rows, self.batches)
        self._finite = _finite(self.expected.outputs, self.model)

    def alone(self, call: Pass, **how: Any) -> "timing.Timing":
        """Whatever disturbed it: the time is not the result."""
        return replace(super().alone(call, **how), conditions=Conditions([]))

    def judge(self, timing):
        """Agreement of neighbours is what is asked here: no class demands it."""
        self._outputs = self.kind.cut(timing.result, self.batches, self.corpus.lengths)
        return sentences.judge(self._outputs, self.batches, self.expected, self.case.variant.tolerance,
                               pretrained=False)

    def complete(self, timing: "timing.Timing") -> QualityRecord:
        corpus = self.corpus
        return self.assembled(
            QualityRecord,
            Sentences(sentences=self.work.corpus.sentences, truncated_sentences=corpus.truncated,
                      token_limit=corpus.limit, corpus_sha256=corpus.sha256, batch_size=BATCH_SIZE),
            Timing(), self._result(),
            correctness=recording.correctness(self.case, self.comparison,
                                              rows_depend_on_batch=self.expected.same_batches))

    def _result(self) -> Result:
        got = sentences.of_sentences(self._outputs, self.batches, self.corpus.lengths,
                                     self.expected.embed)[SENTENCE_EMBEDDING]
        want, finite = self.expected.outputs[SENTENCE_EMBEDDING], self._finite
        cosines = cosine(got[finite], want[finite])
        different = [index for index in distinct(self.rows) if finite[index]]
        changed = nearest_rows(got[different]) != nearest_rows(want[different])
        return Result(neighbours_changed=float(np.mean(changed)), distinct_sentences=len(different),
                      cosine_mean=float(cosines.mean()), cosine_min=float(cosines.min()),
                      real_tokens=sum(self.corpus.lengths), pooling=self.model.sentence.description,
                      sentences_not_finite=int((~finite).sum()),
                      **_correlation(self.work.corpus, got, want, finite))


def distinct(rows: Sequence[np.ndarray]) -> list[int]:
    """Indices of the first of equal rows: a twin would be a neighbour that nothing can change."""
    first = {row.tobytes(): index for index, row in reversed(list(enumerate(rows)))}
    return sorted(first.values())


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine similarity of rows, (rows,), in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def spearman(embeddings: np.ndarray, scores: tuple[float, ...]) -> float:
    """Rank correlation of the cosine of pairs with their scores; row i and row i + len(scores) are a pair.

    The measure of the STS benchmark's users: https://www.sbert.net/docs/package_reference/sentence_transformer/evaluation.html
    """
    from scipy.stats import spearmanr

    return float(spearmanr(cosine(embeddings[:len(scores)], embeddings[len(scores):]), scores).statistic)


def _correlation(corpus: Corpus, got: np.ndarray, want: np.ndarray, finite: np.ndarray) -> dict[str, float]:
    """Of pairs whose embeddings are both finite in eager, bool (sentences,)."""
    if not isinstance(corpus, EvalPairs):
        return {}
    both = finite.reshape(2, -1).all(0)
    scores, rows = tuple(np.asarray(corpus.scores)[both]), np.tile(both, 2)
    return {"pairs_scored": len(scores), "spearman": spearman(got[rows], scores),
            "spearman_eager": spearman(want[rows], scores)}


def _tokenised(corpus: Corpus, model: "LoadedModel") -> Tokenised:
    if not model.pretrained:
        raise CannotRun(f"{model.spec.name} has random weights: their quality means nothing; take a trained model")
    if model.sentence.not_understood:
        raise CannotRun(f"modules.json of {model.spec.name} is not understood ({model.sentence.not_understood}): its "
                        "embedding cannot be made here")
    return corpus.tokenised(model)


def _finite(outputs: dict[str, np.ndarray], model: "LoadedModel") -> np.ndarray:
    """Which sentences have an embedding that is finite in eager, bool (sentences,).

    Raises:
        CannotRun: there are no embeddings, or too few of them.
    """
    if SENTENCE_EMBEDDING not in outputs:
        raise CannotRun(f"{type(model.module).__name__} gives {', '.join(outputs)}, no states to pool: take an "
                        "embedding model")
    finite = np.isfinite(outputs[SENTENCE_EMBEDDING]).all(1)
    if finite.sum() < AGREEMENT_ROWS:
        raise CannotRun(f"eager's embeddings are finite for {finite.sum()} of {len(finite)} sentences: at least "
                        f"{AGREEMENT_ROWS} are needed to have neighbours")
    return finite


def tables(model: str, records: Sequence[QualityRecord]) -> list[Grid]:
    """One table a set of sentences, the fewest changed neighbours first."""
    return [_table(model, workload, [record for record in records if record.identity.workload == workload])
            for workload in dict.fromkeys(record.identity.workload for record in records)]


def _table(model: str, workload: str, records: list[QualityRecord]) -> Grid:
    scored = next((record.result.pairs_scored for record in records if record.result.spearman is not None), None)
    header = ["variant", "neighbours changed", "neighbours kept", "cosine, mean", "cosine, least", "largest error",
              *(["Spearman", "against eager's"] if scored else [])]
    rows = [[*_row(record), *(_spearman(record.result) if scored else [])]
            for record in sorted(records, key=lambda record: record.result.neighbours_changed)]
    of = records[0].workload
    said = f", {of.truncated_sentences} cut" if of.truncated_sentences else ""
    note = (f"Mean-pooled embeddings of {of.sentences} sentences{said}, compared with eager's; neighbours among the "
            f"{records[0].result.distinct_sentences} different ones.")
    if scored:
        note += f" Spearman: rank correlation of a pair's cosine with its score, {scored} pairs."
    return Grid(f"{model}: quality of embeddings, {workload}", header, rows, note)


def _row(record: QualityRecord) -> list[str]:
    found = record.result
    return [record.identity.variant, f"{found.neighbours_changed:.1%}", f"{1 - found.neighbours_changed:.1%}",
            f"{found.cosine_mean:.5f}", f"{found.cosine_min:.5f}", f"{record.correctness.max_abs_error:.1e}"]


def _spearman(found: Result) -> list[str]:
    if found.spearman is None:
        return ["–", "–"]
    return [f"{found.spearman:.4f}", f"{found.spearman - found.spearman_eager:+.4f}"]


def headline(record: QualityRecord) -> str:
    return f"{record.result.neighbours_changed:.1%} of neighbours changed"


def rank(record: QualityRecord) -> float:
    return -record.result.neighbours_changed


def number(record: QualityRecord) -> Number:
    return 100 * record.result.neighbours_changed, None, None


EXPERIMENT = Experiment("quality", 7, "What does a variant do to sentence embeddings of a trained model?", workloads,
                        QualityRun, QualityRecord, tables, headline, rank,
                        Dots(number, "sentences whose nearest neighbour changed, %", "Left is closer to eager. How "
                             "often the nearest other sentence is another one than with eager's embeddings; whether "
                             "that is worse, only labelled data tell.", most=False))
