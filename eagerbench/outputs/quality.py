"""What a variant's outputs are worth where something says what is right: another order of neighbours, pairs with
scores, queries with their documents, texts with labels. Each against eager on the same texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eagerbench.outputs.predictions import nearest_rows
from eagerbench.paired import Answers, Interval, correlation_loss, mean_of, share

CUTOFF = 10  # of reciprocal ranks: MRR@10, as MS MARCO's leaderboard has it
NEIGHBOURS, SPEARMAN, HIT, ACCURACY = "neighbours kept", "Spearman", "hit@1", "accuracy"
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Quality:
    """
    Attributes:
        metric: its name; larger is better.
        items: what it is over: sentences, pairs, queries or texts.
        value, value_eager: of the variant and of eager.
        loss: by how much the variant's is smaller.
        answers: of metrics that count right answers.
        tied: items whose right answer shares its score with a wrong one, which then counts as the better one.
        mrr, mrr_eager, mrr_loss: MRR@10 of a search.
    """

    metric: str
    items: int
    value: float
    value_eager: float
    loss: Interval
    answers: Answers | None = None
    tied: int = 0
    mrr: float | None = None
    mrr_eager: float | None = None
    mrr_loss: Interval | None = None


def of_neighbours(got: np.ndarray, want: np.ndarray) -> Quality:
    """Sentences, (rows, size), that keep their nearest neighbour by cosine. Eager keeps all of its own."""
    changed = nearest_rows(got) != nearest_rows(want)
    found = share(int(changed.sum()), len(changed))
    return Quality(NEIGHBOURS, len(changed), 1 - found.value, 1.0, found)


def of_pairs(got: np.ndarray, want: np.ndarray, scores: Sequence[float]) -> Quality:
    """Rank correlation of the cosines of pairs with their scores; row i and row i + len(scores) are a pair."""
    count, right = len(scores), np.asarray(scores)
    mine, eagers = (cosine(rows[:count], rows[count:]) for rows in (got, want))
    return Quality(SPEARMAN, count, spearman(mine, right), spearman(eagers, right),
                   correlation_loss(eagers, mine, right))


def of_answers(metric: str, got: np.ndarray, want: np.ndarray, tied: int = 0) -> Quality:
    """Which items the variant and eager answer right, bool (items,)."""
    answers = Answers.of(want, got)
    return Quality(metric, answers.items, float(got.mean()), float(want.mean()), answers.loss, answers, tied)


def of_search(got: np.ndarray, want: np.ndarray, relevant: Sequence[Sequence[int]]) -> Quality:
    """Queries that find a document of theirs.

    Args:
        got, want: embeddings of the variant and of eager, those of the queries, then those of the documents.
        relevant: indices of the documents that answer each query.
    """
    (mine, tied), (eagers, _) = (ranks(rows[:len(relevant)], rows[len(relevant):], relevant) for rows in (got, want))
    found = of_answers(HIT, mine == 1, eagers == 1, int(tied.sum()))
    reciprocal, reciprocal_eager = (np.where(places <= CUTOFF, 1 / places, 0) for places in (mine, eagers))
    return Quality(**{**vars(found), "mrr": float(reciprocal.mean()), "mrr_eager": float(reciprocal_eager.mean()),
                      "mrr_loss": mean_of(reciprocal_eager - reciprocal)})


def of_labels(got: np.ndarray, want: np.ndarray, right: np.ndarray) -> Quality:
    """Texts whose largest logit, (texts, labels), is that of their label, int64 (texts,). A logit that is as large as
    the right one counts as larger."""
    (mine, tied), (eagers, _) = (_largest(logits, right) for logits in (got, want))
    return of_answers(ACCURACY, mine, eagers, int(tied.sum()))


def right_labels(logits: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Texts that one model labels right, bool (texts,); as `of_labels` counts them."""
    return _largest(logits, right)[0]


def found_first(embeddings: np.ndarray, relevant: Sequence[Sequence[int]]) -> np.ndarray:
    """Queries whose nearest document is one of theirs, bool (queries,); as `of_search` counts them."""
    return ranks(embeddings[:len(relevant)], embeddings[len(relevant):], relevant)[0] == 1


def ranks(queries: np.ndarray, documents: np.ndarray,
          relevant: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The rank of the best of its documents for each query by cosine, from 1, int64 (queries,); and whether a wrong
    document has the very same score, bool (queries,): it counts as before the right one.

    In float64, so that rounding makes no tie. A score that is not finite is below all others.
    """
    found, tied = np.empty(len(queries), np.int64), np.empty(len(queries), bool)
    unit_queries, unit_documents = _unit(queries), _unit(documents)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        scores = unit_queries[start:start + _QUERIES_AT_ONCE] @ unit_documents.T
        scores[~np.isfinite(scores)] = -np.inf
        for place, row in enumerate(scores, start):
            mine = list(relevant[place])
            best = row[mine].max()
            others = np.delete(row, mine)
            found[place] = 1 + (others >= best).sum()
            tied[place] = (others == best).any()
    return found, tied


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine similarity of rows, (rows,), in float64."""
    return (_unit(a) * _unit(b)).sum(1)


def spearman(cosines: np.ndarray, scores: np.ndarray) -> float:
    """Rank correlation, the measure of the STS benchmark's users:
    https://www.sbert.net/docs/package_reference/sentence_transformer/evaluation.html"""
    from scipy.stats import spearmanr

    return float(spearmanr(cosines, scores).statistic)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _largest(logits: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether the right label's logit is above all others, and whether another one equals it."""
    places = np.arange(len(right))
    logits = np.where(np.isfinite(logits), logits, -np.inf)
    of_right, others = logits[places, right], logits.copy()
    others[places, right] = -np.inf
    best = others.max(1)
    return of_right > best, of_right == best
