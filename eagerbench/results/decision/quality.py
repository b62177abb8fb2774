"""What a variant costs in quality: the share of examples that it loses against eager."""

from eagerbench.results.decision.evidence import Observation, OfVariant
from eagerbench.results.decision.types import Estimate


def quality_loss(of_variant: OfVariant) -> Estimate | None:
    """The largest loss over the sets of texts: by labels where a record has them.

    Without labels only a bound is known: a sentence whose nearest neighbour is the same has lost nothing, so the loss
    lies between none and the share of changed neighbours (its upper end: Clopper and Pearson's at 95 %).
    """
    found = [loss for one in of_variant.of_experiment("quality") if (loss := _loss(one)) is not None]
    labelled = [loss for loss in found if loss.basis.startswith("labels")]
    return max(labelled or found, key=lambda loss: (loss.high, loss.value), default=None)


def _loss(one: Observation) -> Estimate | None:
    result = one.record.result
    changed, sentences = result.neighbours_changed, result.distinct_sentences
    return Estimate(value=changed, low=0.0, high=_upper(round(changed * sentences), sentences),
                    basis=f"neighbours of {sentences} sentences without labels: an upper bound")


def _upper(count: int, of: int, confidence: float = 0.95) -> float:
    from scipy.stats import beta

    return 1.0 if count >= of else float(beta.ppf(confidence, count + 1, of - count))
