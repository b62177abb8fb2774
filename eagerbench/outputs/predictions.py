"""The predictions that users read from outputs, and how far two sets of them agree.

* Several labels: the largest one (`label`).
* Several labels of which any number may hold (`problem_type` is multi_label_classification): the sign of each (`sign`).
* One label, or a regression: the order of the rows (`rank`). The largest of one label is always the same one.
* States: each row's nearest neighbour.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eagerbench.outputs.places import real, token_mask

AGREEMENT_ROWS = 16  # fewer rows make one flip too large a share
SENTENCE_EMBEDDING = "sentence_embedding"  # output of one embedding a sentence: (sentences, size)
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Agreed:
    """How far two sets of predictions agree.

    Attributes:
        how: `label`, `sign`, `rank` or `span`: what a prediction is.
        predictions: how many there are; of scores one a row and label, which is its place in the ranking.
        equal: share of them that are the same; None where there is nothing to read: NaN only, or no ranking since there
            is one row or one score.
        rank_correlation: Kendall's tau-b, the mean over labels; None except for `rank`, and where undefined.
    """

    how: str
    predictions: int
    equal: float | None
    rank_correlation: float | None = None


def how_read(logits: np.ndarray, problem_type: str | None) -> str:
    """`label`, `sign` or `rank`, by the config's `problem_type` and the labels there are, (…, labels) or (rows,)."""
    if problem_type == "multi_label_classification":
        return "sign"
    if problem_type == "regression" or logits.ndim < 2 or logits.shape[-1] == 1:
        return "rank"
    return "label"


def agreement(actual: Arrays, reference: Arrays, mask: np.ndarray | None, problem_type: str | None) -> float | None:
    """Share of predictions that are the reference's, 0 to 1; of scores, of pairs of rows in the reference's order.

    None when it is undefined: no output that predictions are read from, fewer than AGREEMENT_ROWS rows, or scores
    that are all the same. Rows in which the reference has a NaN are left out.
    """
    name = _predicted(reference)
    if name is not None:
        of_output = token_mask(name, reference[name], mask)
        got, want = (matrix(real(arrays[name], of_output)) for arrays in (actual, reference))
        return agreement_of_logits(got, want, how_read(reference[name], problem_type))
    if SENTENCE_EMBEDDING in reference:
        return _neighbours_equal(actual[SENTENCE_EMBEDDING], reference[SENTENCE_EMBEDDING])
    if "last_hidden_state" in reference and reference["last_hidden_state"].ndim == 3:
        return _neighbours_equal(*(_mean(arrays["last_hidden_state"], mask) for arrays in (actual, reference)))
    return None


def _predicted(outputs: Arrays) -> str | None:
    """Output that predictions are read from: logits, or the only output where that is one score a row."""
    if "logits" in outputs:
        return "logits"
    scores = [name for name, array in outputs.items() if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)]
    return scores[0] if scores and len(outputs) == 1 else None


def matrix(logits: np.ndarray) -> np.ndarray:
    """Logits as (rows, labels), whatever their shape: (…, labels), or (rows,) of a single label."""
    return logits.reshape(-1, 1) if logits.ndim < 2 else logits.reshape(-1, logits.shape[-1])


def agreement_of_logits(got: np.ndarray, want: np.ndarray, how: str) -> float | None:
    """`agreement` of logits, (rows, labels)."""
    known = ~np.isnan(want).any(1)
    got, want = got[known], want[known]
    if len(want) < AGREEMENT_ROWS:
        return None
    if how == "rank":
        found = [rank_correlation(got[:, label], want[:, label]) for label in range(want.shape[1])]
        found = [value for value in found if value is not None]
        return (1 + float(np.mean(found))) / 2 if found else None
    if how == "sign":
        return float(np.mean((got > 0) == (want > 0)))
    return float(np.mean(got.argmax(1) == want.argmax(1)))


def agreed(got: np.ndarray, want: np.ndarray, how: str) -> Agreed:
    """What is read from logits, (rows, labels), however few rows there are; rows with a NaN in `want` are left out."""
    known = ~np.isnan(want).any(1)
    got, want = got[known], want[known]
    if not want.size:
        return Agreed(how, known.size, None)
    if how == "label":
        return Agreed(how, len(want), float(np.mean(got.argmax(1) == want.argmax(1))))
    if how == "sign":
        return Agreed(how, want.size, float(np.mean((got > 0) == (want > 0))))
    pairs = [(got[:, label], want[:, label]) for label in range(want.shape[1])]
    found = [(rank_correlation(*pair), places_kept(*pair).mean()) for pair in pairs]
    defined = [(correlation, kept) for correlation, kept in found if correlation is not None]
    if not defined:
        return Agreed(how, want.size, None)
    correlation, kept = np.mean(defined, axis=0)
    return Agreed(how, want.size, float(kept), float(correlation))


def rank_correlation(got: np.ndarray, want: np.ndarray) -> float | None:
    """Kendall's tau-b of two sets of scores, (rows,): 1 is the same order, −1 the opposite one.

    None when the order is undefined: fewer than two rows, or the same score `want` everywhere. 0 when only `got` is
    the same everywhere.
    """
    from scipy.stats import kendalltau

    if len(want) < 2 or (want == want[0]).all():
        return None
    return 0.0 if (got == got[0]).all() else float(kendalltau(got, want).statistic)


def places_kept(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Which rows have the same place in both rankings, bool (rows,).

    Equal scores `want` share their places: any order among them is the same ranking. Equal scores `got` do not tell
    apart what `want` does: their places are other ones.
    """
    from scipy.stats import rankdata

    (first, last), (eager_first, eager_last) = ((rankdata(scores, "min"), rankdata(scores, "max"))
                                                for scores in (got, want))
    return (first >= eager_first) & (last <= eager_last)


def nearest_rows(embeddings: np.ndarray) -> np.ndarray:
    """For each row of (rows, size), at least two, the index of the nearest other one by cosine, (rows,)."""
    pooled = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = pooled @ pooled.T
    similarity[np.isnan(similarity)] = -np.inf
    np.fill_diagonal(similarity, -np.inf)
    return similarity.argmax(1)


def _neighbours_equal(got: np.ndarray, want: np.ndarray) -> float | None:
    known = np.isfinite(want).all(1)
    if known.sum() < AGREEMENT_ROWS:
        return None
    return float(np.mean(nearest_rows(got[known]) == nearest_rows(want[known])))


def _mean(states: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Mean of the states (batch, length, size) over real positions, (batch, size); NaN for a row without any."""
    chosen = np.ones(states.shape[:2], bool) if mask is None else mask.astype(bool)
    with np.errstate(invalid="ignore"):  # what is not finite at a padded position does not count
        return np.where(chosen[..., None], states, 0).sum(1) / chosen.sum(1, keepdims=True)
