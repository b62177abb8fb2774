"""Pictures of decisions and of the corpus experiment: what a report draws too, as SVG of kept results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eagerbench.results.numbers import three
from eagerbench.results.report import advice, source, tree
from scripts.docs import kept

MODEL, WORKLOAD = "minilm", "b8-s128"
_INDENT, _ROW, _LEFT, _TOP = 26, 20, 12, 20
_BAR, _GAP, _NAMES, _WIDTH = 15, 12, 150, 760


@dataclass
class Line:
    """A line of the tree, its place in pixels. `variant` and `said` are of a leaf."""

    x: int
    y: int
    text: str = ""
    variant: str = ""
    said: str = ""
    question: bool = False


def decision_tree() -> dict:
    """What the template draws: the lines, and the rules that join a question with its answers."""
    found = source.read([kept.RESULTS / "bench.json"])
    made = tree.of(advice.Adviser(found, [MODEL]), MODEL, "cpu", [(WORKLOAD, "batch 8 × 128")])
    lines = [Line(_LEFT + _INDENT * depth, _TOP + _ROW * place, **text)
             for place, (depth, text) in enumerate(_lines(made, 0))]
    rules = []
    for place, line in enumerate(lines):
        if line.question:
            below = []
            for one in lines[place + 1:]:
                if one.x <= line.x:
                    break
                below += [one.y] if one.x == line.x + _INDENT and one.text else []
            rules.append((line.x + 6, line.y + 6, below))
    return {"lines": lines, "rules": rules, "width": _WIDTH, "height": _TOP + _ROW * len(lines)}


def _lines(node: tree.Node, depth: int) -> Iterator[tuple[int, dict]]:
    """Depth and text of each line, a question before its answers."""
    if not node.question:
        yield depth, {"variant": node.variant, "said": node.said}
        return
    yield depth, {"text": node.question, "question": True}
    for one in node.branches:
        yield depth + 1, {"text": one.answer}
        yield from _lines(one, depth + 2)


@dataclass
class Bar:
    y: int
    wide: float
    policy: int
    number: str


def corpus() -> dict:
    """Bars of each variant, one a policy."""
    records = kept.of_experiment("bench", "corpus")
    variants = list(dict.fromkeys(record.identity.variant for record in records))
    policies = list(dict.fromkeys(record.workload.policy for record in records))
    most = max(record.result.sentences_per_s for record in records)
    step = _BAR * len(policies) + _GAP
    names, bars = [], []
    for place, variant in enumerate(variants):
        top = 34 + step * place
        names.append((top + _BAR * len(policies) / 2 + 4, variant))
        for record in _fastest([one for one in records if one.identity.variant == variant], policies):
            policy = policies.index(record.workload.policy)
            speed = record.result.sentences_per_s
            bars.append(Bar(top + _BAR * policy, round((_WIDTH - _NAMES - 70) * speed / most, 1), policy, three(speed)))
    return {"names": names, "bars": bars, "policies": policies, "left": _NAMES, "bar": _BAR, "width": _WIDTH,
            "height": 34 + step * len(variants)}


def _fastest(records: Sequence, policies: Sequence[str]) -> Iterator:
    """Of each policy the record of the best batch size."""
    for policy in policies:
        here = [record for record in records if record.workload.policy == policy]
        if here:
            yield max(here, key=lambda record: record.result.sentences_per_s)
