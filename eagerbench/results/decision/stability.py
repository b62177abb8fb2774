"""Whether fresh measurements of one machine lead to the same choice: what `eagerbench choices` counts."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from eagerbench.results.decision.budget import Budget
from eagerbench.results.decision.choosing import decide
from eagerbench.results.decision.evidence import Source
from eagerbench.results.decision.types import Verdict


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one file's decision said."""

    choice: str | None
    ties: list[str]

    @property
    def allows(self) -> set[str]:
        return {*self.ties, *([self.choice] if self.choice else [])}


class Stability(msgspec.Struct, frozen=True, kw_only=True):
    """Of one budget.

    Attributes:
        together: what all files decide, one process each; its ties beside it.
        chosen: how often each variant was.
        missed: files whose choice and ties leave out what all together decide.
        flips: pairs of files with different choices, neither of which called the other's a tie, of `pairs`.
        files: what each said.
    """

    budget: str
    together: str | None
    together_ties: list[str]
    chosen: dict[str, int]
    missed: int
    flips: int
    pairs: int
    files: list[Said]


def stability(sources: Sequence[Source], name: str, budget: Budget) -> Stability:
    """Of files of one model on one machine.

    Raises:
        BadInput: files of several machines, or without records.
    """
    said = [_said(decide([source], budget).verdicts[0]) for source in sources]
    together = _said(decide(sources, budget).verdicts[0])
    pairs = list(itertools.combinations(said, 2))
    return Stability(
        budget=name, together=together.choice, together_ties=together.ties,
        chosen=dict(Counter(str(one.choice) for one in said).most_common()),
        missed=sum(together.choice is not None and together.choice not in one.allows for one in said),
        flips=sum(flipped(*pair) for pair in pairs), pairs=len(pairs), files=said)


def flipped(one: Said, other: Said) -> bool:
    """Whether two decisions differ and neither had said that they might."""
    return one.choice != other.choice and one.choice not in other.allows and other.choice not in one.allows


def _said(verdict: Verdict) -> Said:
    return Said(choice=verdict.choice, ties=verdict.ties)


def speedups(source: Source) -> dict[str, list[float | None]]:
    """Of each variant of a file how many times as fast as eager it is, with its interval."""
    return {one.variant: [None if end is None else round(end, 3) for end in
                          (one.speedup.value, one.speedup.low, one.speedup.high)]
            for one in decide([source]).verdicts[0].candidates if one.speedup is not None}


def to_json(found: Sequence[Stability], about: dict[str, Any]) -> dict[str, Any]:
    return {"format": "eagerbench-choices", **about, "budgets": msgspec.to_builtins(list(found))}
