"""Why cases did not run, grouped: a reason is given once, with the variants that it concerns and what to type."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from eagerbench.results.grid import middle

_LONGEST = 70  # columns of a reason, before what to type
_DEVICES = re.compile(r"runs on (?P<label>.+), not on .+")
_COMMAND = re.compile(r"(?P<label>.+?) \((?:run: )?(?P<hint>(?:make|pip) .+)\)")
_OPTION = re.compile(r"(?P<label>.+); (?P<hint>add .+)")


@dataclass
class Group:
    """A reason in a few words.

    Attributes:
        hints: what to type, each once; empty where nothing helps.
        variants: those that it concerns, in running order.
        cases: how many of theirs.
    """

    label: str
    hints: list[str] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)
    cases: int = 0

    @property
    def text(self) -> str:
        """`not installed (6): make env-ipex, make env-neuron`."""
        label = middle(self.label, _LONGEST)
        return f"{label} ({len(self.variants)})" + (f": {', '.join(self.hints)}" if self.hints else "")


def grouped(reasons: Iterable[tuple[str, str]]) -> list[Group]:
    """Groups of (variant, reason), what concerns the most variants first."""
    found: dict[str, Group] = {}
    for variant, reason in reasons:
        label, hint = _read(reason)
        group = found.setdefault(label, Group(label))
        group.cases += 1
        if variant not in group.variants:
            group.variants.append(variant)
        if hint and hint not in group.hints:
            group.hints.append(hint)
    return sorted(found.values(), key=lambda group: -len(group.variants))


def _read(reason: str) -> tuple[str, str]:
    if found := _DEVICES.fullmatch(reason):
        return f"need {found['label'].replace(' and ', ' or ')}", ""
    for pattern in (_COMMAND, _OPTION):
        if found := pattern.fullmatch(reason):
            label = "not installed" if found["label"].startswith("not installed: ") else found["label"]
            return label, found["hint"]
    return ("not installed", f"pip install {reason.removeprefix('not installed: ')}"
            ) if reason.startswith("not installed: ") else (reason, "")
