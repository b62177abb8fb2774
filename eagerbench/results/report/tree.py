"""The decision tree: the questions that a user can answer, and what the records say to each answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from eagerbench.case import DEFAULT
from eagerbench.results.decision import Budget, Verdict
from eagerbench.results.numbers import bounds, digits, percent, times
from eagerbench.results.report.advice import EAGER, Adviser

CALLS = (1, 100, 10_000, 1_000_000)
MOST_WORKLOADS = 4
_ANSWERS = {"exact-math": "nothing but rounding", "reduced-precision": "as 16-bit numbers do",
            "quantised-coarse": "as quantised weights do"}


@dataclass(frozen=True)
class Node:
    """A question with its answers, or what to take.

    Attributes:
        answer: that leads here.
        question: the next one; empty in a leaf.
        variant: of a leaf; empty where nothing can be taken.
        said: of a leaf: what is known of it.
    """

    answer: str = ""
    question: str = ""
    branches: Sequence["Node"] = field(default=())
    variant: str = ""
    said: str = ""


def of(adviser: Adviser, model: str, device: str, workloads: Sequence[tuple[str, str]]) -> Node | None:
    """The tree of a model; None where nothing can be decided.

    A question whose answers all lead to the same is not asked.

    Args:
        workloads: name and shape of its latency workloads, at most the first four are asked about.
    """
    def verdict(**limits) -> Verdict | None:
        decision, _ = adviser.decide(Budget(model=[model], **limits))
        return next((one for one in decision.verdicts if one.device == device), None) if decision else None

    def calls(answer: str, **limits) -> Node:
        found: list[tuple[int, Node]] = []  # from how many calls on
        for number in CALLS:
            leaf = _leaf(verdict(calls=number, **limits))
            if not found or found[-1][1].variant != leaf.variant:
                found.append((number, leaf))
        ranges = _ranges([number for number, _ in found[1:]])
        leaves = [replace(leaf, answer=said) for (_, leaf), said in zip(found, ranges, strict=True)]
        return _asked(answer, "How many calls will a process make, building and loading included?", leaves)

    def classes(answer: str, **limits) -> Node:
        return _asked(answer, "How far may outputs be from eager's?",
                      [calls(said, tolerance_class=name, **limits) for name, said in _ANSWERS.items()])

    if verdict() is None:
        return None
    return _asked("", "What does a call look like?", [classes(shape, workload=[f"{DEFAULT}/{name}"])
                                                      for name, shape in list(workloads)[:MOST_WORKLOADS]])


def _ranges(starts: Sequence[int]) -> list[str]:
    """Between numbers of calls from which on something else is taken: `100 to 9,999`."""
    if not starts:
        return ["any number"]
    between = [f"{one:,} to {other - 1:,}" for one, other in pairwise(starts)]
    return [f"fewer than {starts[0]:,}", *between, f"{starts[-1]:,} and more"]


def _asked(answer: str, question: str, branches: Sequence[Node]) -> Node:
    """The question, or the one answer that they all lead to."""
    kept: list[Node] = []
    for one in branches:
        if kept and _same(kept[-1], one):
            kept[-1] = replace(kept[-1], answer=f"{kept[-1].answer}, or {one.answer}")
        else:
            kept.append(one)
    return replace(kept[0], answer=answer) if len(kept) == 1 else Node(answer, question, kept)


def _same(one: Node, other: Node) -> bool:
    return ((one.question, one.variant, len(one.branches)) == (other.question, other.variant, len(other.branches))
            and all(a.answer == b.answer and _same(a, b) for a, b in zip(one.branches, other.branches, strict=True)))


def _leaf(verdict: Verdict | None) -> Node:
    if verdict is None or verdict.choice is None:
        return Node(said=f"nothing: {verdict.why}" if verdict and verdict.why else "nothing that was measured")
    one = verdict.of(verdict.choice)
    parts = []
    if one is not None and one.speedup is not None and verdict.choice != EAGER:
        parts.append(f"{times(one.speedup.value)}{bounds(one.speedup.low, one.speedup.high)}")
    if one is not None and one.error is not None and verdict.choice != EAGER:
        parts.append(f"error {percent(one.error.value)}")
    if one is not None and one.memory_bytes is not None:
        parts.append(f"{digits(one.memory_bytes.value / 2**20)} MiB")
    if verdict.ties:
        more = f" and {len(verdict.ties) - 2} more" if len(verdict.ties) > 2 else ""
        parts.append(f"tied with {', '.join(verdict.ties[:2])}{more}")
    return Node(variant=verdict.choice, said=", ".join(parts))
