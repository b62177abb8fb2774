"""Compares generated tokens with eager's: where they differ, and how close eager was to the other choice."""

from dataclasses import dataclass, replace

import numpy as np

from eagerbench.outputs.places import set_apart
from eagerbench.outputs.tolerance import CLASSES, Comparison, compare


@dataclass(frozen=True)
class Generated:
    """Tokens, int64 (batch, new tokens), and what each was chosen by, float32 (batch, new tokens, vocabulary)."""

    ids: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Parting:
    """Where tokens are no longer eager's.

    Attributes:
        common: for each text how many of its first tokens are eager's, (batch,).
        gaps: by how much eager's logit of its own token exceeds that of the first other one, (batch,); -inf in a text
            without one.
    """

    common: np.ndarray
    gaps: np.ndarray

    @property
    def at(self) -> int | None:
        """Number of the first other token of any text, from 1; None when all are eager's."""
        return int(self.common.min()) + 1 if (self.gaps != -np.inf).any() else None

    @property
    def gap(self) -> float | None:
        """The gap there; the largest, where several texts part at the same token."""
        return None if self.at is None else float(self.gaps[self.common == self.at - 1].max())


def part(ids: np.ndarray, eager: Generated) -> Parting:
    other = ids != eager.ids
    common = np.where(other.any(1), other.argmax(1), ids.shape[1])
    gaps = np.full(len(ids), -np.inf)
    for row in np.flatnonzero(other.any(1)):
        logits, step = eager.logits[row, common[row]], common[row]
        gaps[row] = logits[eager.ids[row, step]] - logits[ids[row, step]]
    return Parting(common, gaps)


def judge(generated: Generated, eager: Generated, double: np.ndarray, class_name: str,
          pretrained: bool) -> tuple[Parting, Comparison]:
    """Logits by a tolerance class as long as the text is eager's, and the first other token by its gap."""
    parting = part(generated.ids, eager)
    comparison = compare({"logits": before(generated.logits, parting)}, {"logits": before(eager.logits, parting)},
                         {"logits": before(double, parting)}, None, class_name, pretrained)
    bound = largest_gap(eager.logits, class_name)
    row = int(parting.gaps.argmax())
    if not parting.gaps[row] <= bound:  # a gap to eager's −∞ is infinite, to its NaN it is none
        text = (f"parts from eager's tokens at token {parting.common[row] + 1} of {eager.ids.shape[1]} of text {row}, "
                f"where eager prefers its own by {parting.gaps[row]:.3g}; tolerance {bound:.3g}")
        comparison = replace(comparison, failures=(*comparison.failures, text))
    return parting, comparison


def before(logits: np.ndarray, parting: Parting) -> np.ndarray:
    """Logits of tokens that follow the same text as eager's, the first other one included: (tokens, vocabulary)."""
    return np.concatenate([row[:common + 1] for row, common in zip(logits, parting.common, strict=True)])


def largest_gap(logits: np.ndarray, class_name: str) -> float:
    """The widest gap that two logits within a class's tolerance can close: twice the largest error.

    Of logits that are neither masked nor not finite: those say nothing of the size of the others.
    """
    tolerance = CLASSES[class_name]
    logits = logits[~set_apart(logits)].astype(np.float64)
    if not logits.size:
        return 0.0
    rms = float(np.sqrt(np.mean(np.square(logits))))
    if tolerance.largest is not None:
        return 2 * tolerance.largest * rms
    return 2 * (tolerance.atol * rms + tolerance.rtol * float(np.abs(logits).max()))
