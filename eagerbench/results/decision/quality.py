"""What a variant costs in quality: by how much less it gets right than eager on the same texts."""

from eagerbench.results.decision.evidence import Observation, OfVariant
from eagerbench.results.decision.types import Estimate
from eagerbench.shown import count

NEIGHBOURS = "neighbours kept"  # the metric that needs no labels


def quality_loss(of_variant: OfVariant) -> Estimate | None:
    """The largest loss over the sets of texts, by its unfavourable end; only of those with labels where there are any.

    Without labels only a bound is known: a sentence whose nearest neighbour is the same has lost nothing, so the loss
    lies between none and the share of changed neighbours.
    """
    found = [(_has_labels(one), loss) for one in of_variant.of_experiment("quality") if (loss := _loss(one))]
    labelled = [loss for has_labels, loss in found if has_labels]
    return max(labelled or [loss for _, loss in found], default=None,
               key=lambda loss: (loss.value if loss.high is None else loss.high, loss.value))


def _has_labels(one: Observation) -> bool:
    return _metric(one) not in (None, NEIGHBOURS)


def _metric(one: Observation) -> str | None:
    return getattr(one.record.result, "metric", None)


def _loss(one: Observation) -> Estimate | None:
    result = one.record.result
    if _has_labels(one):
        return Estimate(value=result.quality_loss, low=result.quality_loss_low, high=result.quality_loss_high,
                        basis=f"{_metric(one)} of {result.items:,}")
    changed, sentences = result.neighbours_changed, result.distinct_sentences
    if changed is None or not sentences:
        return None
    return Estimate(value=changed, low=0.0, high=_upper(round(changed * sentences), sentences),
                    basis=f"neighbours of {count(sentences, 'sentence')} without labels: an upper bound")


def _upper(changed: int, of: int) -> float:
    """The upper end of the exact 95 % interval (Clopper and Pearson)."""
    from scipy.stats import beta

    return 1.0 if changed >= of else float(beta.ppf(0.975, changed + 1, of - changed))
