"""What a session recommends on its last screen: a line each for exact math, 16 bits and 8 bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eagerbench.results import decision
from eagerbench.results.decision import Budget, Source, Verdict
from eagerbench.results.numbers import bounds, times

# Its name, and the loosest tolerance class that is allowed.
ALLOWED = (("exact math", "exact-math"), ("16 bits", "reduced-precision"), ("8 bits", "quantised"))
_EAGER = "eager"
_MOST_TIES = 2


@dataclass(frozen=True)
class Take:
    """What to take for a model, in words: `openvino-bf16`, ` 3.89×`, ` [2.63, 5.73] (= sdpa)`."""

    model: str
    variant: str
    gain: str
    more: str


def short(content: Mapping[str, Any]) -> dict[str, list[Take]]:
    """By what is allowed, what to take for each model.

    Args:
        content: of a file with a record of ours, or of this session.
    """
    found = {}
    gathered = decision.gather_all([Source("this session", content)])
    for name, of_class in ALLOWED:
        made = decision.decide_on(gathered, Budget(tolerance_class=of_class))
        found[name] = [_words(verdict) for verdict in made.verdicts if verdict.choice is not None]
    return {name: parts for name, parts in found.items() if parts}


def _words(verdict: Verdict) -> Take:
    choice = verdict.of(verdict.choice)
    ties = ", ".join(verdict.ties[:_MOST_TIES])
    more = f" and {len(verdict.ties) - _MOST_TIES} more" if len(verdict.ties) > _MOST_TIES else ""
    said = f" (= {ties}{more})" if ties else ""
    if choice.variant == _EAGER or choice.speedup is None:
        return Take(verdict.model, choice.variant, "", f", nothing is provably faster{said}")
    gain = choice.speedup
    return Take(verdict.model, choice.variant, f" {times(gain.value)}", f"{bounds(gain.low, gain.high)}{said}")
