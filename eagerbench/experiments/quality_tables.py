"""What the quality experiment records, and its table: one a set of texts, with one metric."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from eagerbench.experiments.base import Number
from eagerbench.outputs import quality
from eagerbench.results.grid import Grid
from eagerbench.results.record import Cosine, Count, Natural, Part, Record, Sha256, Share, Text, Timing
from eagerbench.shown import count

Loss = Annotated[float, Meta(ge=-2, le=2)]


class Sentences(Part, kw_only=True):
    """`truncated_sentences` were cut at `token_limit` tokens; `corpus_sha256` is over all ids; of a file with labels
    `lines_without_text` were left out."""

    sentences: Count
    truncated_sentences: Natural
    token_limit: Count | None = None
    corpus_sha256: Sha256
    batch_size: Count
    lines_without_text: Natural = 0


class Result(Part, kw_only=True):
    """Quality against eager's on the same texts, whose own outputs are finite in eager.

    Attributes:
        metric: what `quality` is: the share of sentences that keep their nearest neighbour, Spearman's correlation of
            cosines with scores, the share of queries whose first hit is right, or the share of texts that get their
            label. None in older files.
        items: sentences, pairs, queries or texts.
        quality, quality_eager: of the variant and of eager.
        quality_loss: eager's less the variant's, with its 95 % interval (None where the items give none): exact for
            neighbours, Newcombe's for paired shares, a bootstrap over pairs for Spearman.
        lost, won: items that eager alone, and the variant alone, answers right.
        mcnemar_p: two-sided p of the exact test that both are equally many.
        tied: items whose right answer shares its score with a wrong one: they count as wrong.
        mrr_at_10, mrr_at_10_eager, mrr_loss: mean reciprocal rank of the first right document, with a bootstrap
            interval over queries.
        neighbours_changed: share of sentences with another nearest one, among the `distinct_sentences`.
        cosine_mean, cosine_min: of an embedding with eager's.
        pooling: how embeddings are made of states.
        spearman, spearman_eager: rank correlation of the cosines of `pairs_scored` pairs with their scores.
    """

    metric: Literal["neighbours kept", "Spearman", "hit@1", "accuracy"] | None = None
    items: Count | None = None
    quality: Cosine | None = None
    quality_eager: Cosine | None = None
    quality_loss: Loss | None = None
    quality_loss_low: Loss | None = None
    quality_loss_high: Loss | None = None
    lost: Natural | None = None
    won: Natural | None = None
    mcnemar_p: Share | None = None
    tied: Natural = 0
    mrr_at_10: Share | None = None
    mrr_at_10_eager: Share | None = None
    mrr_loss: Loss | None = None
    mrr_loss_low: Loss | None = None
    mrr_loss_high: Loss | None = None
    neighbours_changed: Share | None = None
    distinct_sentences: Count | None = None
    cosine_mean: Cosine | None = None
    cosine_min: Cosine | None = None
    real_tokens: Count
    pooling: Text | None = None
    sentences_not_finite: Natural = 0
    pairs_scored: Count | None = None
    spearman: Cosine | None = None
    spearman_eager: Cosine | None = None

    def __post_init__(self):
        if self.spearman is not None and None in (self.spearman_eager, self.pairs_scored):
            raise ValueError("spearman without spearman_eager and pairs_scored")
        found = (self.items, self.quality, self.quality_eager, self.quality_loss)
        if self.metric is not None and None in found:
            raise ValueError("metric without items, quality, quality_eager and quality_loss")
        if self.metric is None and self.neighbours_changed is None:
            raise ValueError("neither metric nor neighbours_changed")


QualityRecord = Record[Sentences, Timing, Result]


def facts(found: quality.Quality) -> dict:
    """The fields of a `Result` that any metric has."""
    fields = {"metric": found.metric, "items": found.items, "quality": found.value, "quality_eager": found.value_eager,
              "quality_loss": found.loss.value, "quality_loss_low": found.loss.low,
              "quality_loss_high": found.loss.high, "tied": found.tied}
    if found.answers is not None:
        fields |= {"lost": found.answers.lost, "won": found.answers.won, "mcnemar_p": found.answers.p}
    if found.mrr_loss is not None:
        fields |= {"mrr_at_10": found.mrr, "mrr_at_10_eager": found.mrr_eager, "mrr_loss": found.mrr_loss.value,
                   "mrr_loss_low": found.mrr_loss.low, "mrr_loss_high": found.mrr_loss.high}
    return fields


def tables(model: str, records: Sequence[QualityRecord]) -> list[Grid]:
    """One table a set of texts, the smallest loss first."""
    return [_table(model, workload, [record for record in records if record.identity.workload == workload])
            for workload in dict.fromkeys(record.identity.workload for record in records)]


def loss(record: QualityRecord) -> float:
    """That of the record's metric; in older files the share of neighbours that changed."""
    found = record.result
    return found.quality_loss if found.metric is not None else found.neighbours_changed


def _table(model: str, workload: str, records: list[QualityRecord]) -> Grid:
    first, by_loss = records[0].result, sorted(records, key=loss)
    metric = first.metric or quality.NEIGHBOURS
    counted, searched = first.lost is not None, first.mrr_at_10 is not None
    header = ["variant", metric, "loss in points, 95 %", *(["lost, won", "p"] if counted else []),
              *(["MRR@10"] if searched else []),
              *(["cosine, mean"] if first.cosine_mean is not None else []),
              *(["cosine, least"] if first.cosine_min is not None and not counted else []),
              *([] if searched else ["largest error"])]
    rows = [_row(record, counted, searched) for record in by_loss]
    return Grid(f"{model}: quality, {workload}", header, rows, _note(records))


def _row(record: QualityRecord, counted: bool, searched: bool) -> list[str]:
    found = record.result
    return [record.identity.variant, _value(record), points(record),
            *([f"{found.lost}, {found.won}", _p(found.mcnemar_p)] if counted else []),
            *([f"{found.mrr_at_10:.3f}"] if searched else []),
            *([f"{found.cosine_mean:.5f}"] if found.cosine_mean is not None else []),
            *([f"{found.cosine_min:.5f}"] if found.cosine_min is not None and not counted else []),
            *([] if searched else [f"{record.correctness.max_abs_error:.1e}"])]


def _value(record: QualityRecord) -> str:
    found = record.result
    if found.metric == quality.SPEARMAN:
        return f"{found.quality:.4f}"
    return f"{1 - found.neighbours_changed if found.metric is None else found.quality:.1%}"


def points(record: QualityRecord) -> str:
    """`1.9 [0.4, 3.4]`: hundredths of the metric, with the 95 % interval."""
    found = record.result
    digits = 2 if found.metric == quality.SPEARMAN else 1

    def shown(value: float) -> str:
        return f"{round(100 * value, digits) + 0.0:.{digits}f}"  # 0.0 and not -0.0

    if found.quality_loss_low is None or found.quality_loss_high is None:
        return shown(loss(record))
    return f"{shown(loss(record))} [{shown(found.quality_loss_low)}, {shown(found.quality_loss_high)}]"


def _p(value: float) -> str:
    return "<0.0001" if value < 1e-4 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


_ITEMS = {quality.NEIGHBOURS: "sentence", quality.SPEARMAN: "pair", quality.HIT: "query", quality.ACCURACY: "text"}
_SAID = {
    quality.NEIGHBOURS: "Neighbours kept: sentences whose nearest neighbour is the same as in eager. Which one is "
                        "right is not known (--retrieval tells). The interval is exact (Clopper and Pearson).",
    quality.SPEARMAN: "Spearman: rank correlation of a pair's cosine with its score. The interval is a bootstrap over "
                      "pairs.",
    quality.HIT: "hit@1: queries whose nearest document is theirs. MRR@10: mean reciprocal rank of it.",
    quality.ACCURACY: "Accuracy: texts that get their label.",
}
_PAIRED = (" Lost, won: answered right by eager only, and by the variant only; p: exact McNemar test of lost against "
           "won; interval: Newcombe's for paired shares.")


def _note(records: list[QualityRecord]) -> str:
    of, found = records[0].workload, records[0].result
    metric = found.metric or quality.NEIGHBOURS
    items = found.items or found.distinct_sentences or of.sentences
    noun = _ITEMS[metric]
    said = [f"{count(items, noun, 'queries' if noun == 'query' else None)}. {_SAID[metric]}"
            + (_PAIRED if found.lost is not None else "") + " Loss: eager's metric minus the variant's, in hundredths."]
    if of.truncated_sentences:
        said.append(f"{count(of.truncated_sentences, 'text')} cut at {of.token_limit} tokens.")
    if of.lines_without_text:
        said.append(f"Left out: {count(of.lines_without_text, 'line')} without a text.")
    tied = max(record.result.tied for record in records)
    if tied:
        said.append(f"In up to {tied} of them the right answer shares its score with a wrong one: counted as wrong.")
    return " ".join(said)


def headline(record: QualityRecord) -> str:
    """`hit@1 29.9%, loss -0.1 [-1.2, 1.0] points`."""
    metric = record.result.metric or quality.NEIGHBOURS
    return f"{metric} {_value(record)}, loss {points(record)} points"


def rank(record: QualityRecord) -> float:
    return -loss(record)


def number(record: QualityRecord) -> Number:
    """Loss in hundredths of the metric, with its interval."""
    found = record.result
    low, high = found.quality_loss_low, found.quality_loss_high
    return (100 * loss(record), *((None, None) if None in (low, high) else (100 * low, 100 * high)))
