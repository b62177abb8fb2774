"""Quality: what a variant does to sentence embeddings of a trained model. One timed pass; the numbers are not times."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.backends.building import Built
from eagerbench.errors import CannotRun
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.rows import Pass, RowsExpected, expected_once, judge, of_sentences
from eagerbench.measuring.timing import time_alone
from eagerbench.outputs.places import per_token
from eagerbench.outputs.predictions import AGREEMENT_ROWS, SENTENCE_EMBEDDING, nearest_rows
from eagerbench.plan import Case
from eagerbench.workloads.batching import by_length
from eagerbench.workloads.corpus import Tokenised
from eagerbench.workloads.quality import BATCH_SIZE, EvalPairs, one_shape

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter
    from eagerbench.models.loading import LoadedModel


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Embed the sentences of an `Embeddings`; builds that serve one shape get batches of one."""
    model, work = meter.model(case.model), case.workload
    corpus, kind = meter.once(work, lambda: _tokenised(meter, case)), _kind(built)
    rows, lengths = corpus.rows, corpus.lengths
    batches = by_length(lengths, BATCH_SIZE)
    expected = expected_once(meter, case, ("quality", work), rows, batches, kind)
    finite = _finite(expected, model)
    one_pass = kind(built.runner, rows, batches, model)
    start = time.perf_counter()
    one_pass.first_call()
    first_call_s = time.perf_counter() - start
    timing = time_alone(benchmark, one_pass, meter.selection.time_budget, rounds=1, again=False)
    outputs = one_pass.cut(timing.result, batches, lengths)
    # Agreement of neighbours is what is asked here: no class demands it.
    comparison = judge(outputs, batches, expected, case.variant.tolerance, pretrained=False)

    def fields() -> dict[str, Any]:
        got = of_sentences(outputs, batches, lengths, expected.embed)[SENTENCE_EMBEDDING]
        want = expected.outputs[SENTENCE_EMBEDDING]
        cosines = cosine(got[finite], want[finite])
        different = [index for index in distinct(rows) if finite[index]]
        return {"neighbours_changed": float(np.mean(nearest_rows(got[different]) != nearest_rows(want[different]))),
                "distinct_sentences": len(different), "cosine_mean": float(cosines.mean()),
                "cosine_min": float(cosines.min()), "real_tokens": sum(lengths),
                "pooling": model.sentence.description, "token_limit": corpus.limit,
                "truncated_sentences": corpus.truncated, "corpus_sha256": corpus.sha256,
                "sentences_not_finite": int((~finite).sum()), "rows_depend_on_batch": expected.same_batches,
                **_correlation(work.corpus, got, want, finite)}

    return Measured(comparison, one_pass.first_inputs, first_call_s, first_call_s + timing.spent_s,
                    fields if timing.rounds else None)


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


def _correlation(corpus, got: np.ndarray, want: np.ndarray, finite: np.ndarray) -> dict[str, float]:
    """Of pairs whose embeddings are both finite in eager, bool (sentences,)."""
    if not isinstance(corpus, EvalPairs):
        return {}
    both = finite.reshape(2, -1).all(0)
    scores, rows = tuple(np.asarray(corpus.scores)[both]), np.tile(both, 2)
    return {"pairs_scored": len(scores), "spearman": spearman(got[rows], scores),
            "spearman_eager": spearman(want[rows], scores)}


def _kind(built: Built) -> type[Pass]:
    return OneShapePass if built.backend.per_workload else Pass


def _tokenised(meter: "Meter", case: Case) -> Tokenised:
    model = meter.model(case.model)
    if not model.pretrained:
        raise CannotRun(f"{case.model.name} has random weights: their quality means nothing; take a trained model")
    if model.sentence.not_understood:
        raise CannotRun(f"modules.json of {case.model.name} is not understood ({model.sentence.not_understood}): its "
                        "embedding cannot be made here")
    return case.workload.corpus.tokenised(model)


def _finite(expected: RowsExpected, model: "LoadedModel") -> np.ndarray:
    """Which sentences have an embedding that is finite in eager, bool (sentences,).

    Raises:
        CannotRun: there are no embeddings, or too few of them.
    """
    if SENTENCE_EMBEDDING not in expected.outputs:
        raise CannotRun(f"{type(model.module).__name__} gives {', '.join(expected.outputs)}, no states to pool: take "
                        "an embedding model")
    finite = np.isfinite(expected.outputs[SENTENCE_EMBEDDING]).all(1)
    if finite.sum() < AGREEMENT_ROWS:
        raise CannotRun(f"eager's embeddings are finite for {finite.sum()} of {len(finite)} sentences: at least "
                        f"{AGREEMENT_ROWS} are needed to have neighbours")
    return finite
