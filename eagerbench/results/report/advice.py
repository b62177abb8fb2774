"""What `recommend` says of the files of a report, for its budgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eagerbench.errors import BadInput
from eagerbench.results import decision as deciding
from eagerbench.results import older
from eagerbench.results.decision import Budget, Candidate, Decision, Estimate, Verdict
from eagerbench.results.decision.choosing import decide_on, gather_all
from eagerbench.results.numbers import bounds, digits, percent, times
from eagerbench.results.report.columns import NOTHING
from eagerbench.results.report.source import Source

# What a run is asked when no budget is named: the loosest class that is allowed, and how it is called.
USUAL = (("exact-math", "Exact math", "outputs as eager's but for rounding"),
         ("reduced-precision", "16 bits", "outputs may differ as 16-bit numbers do"),
         ("quantised-coarse", "8 bits and fewer", "weights and products may be quantised"))
EAGER = "eager"
TAKE, TIE, MISS, OPEN, BASELINE = ("take", "tie", "nearest miss", "may fit", "baseline")
MOST_MODELS = 4  # that are advised on
MOST_PICKS = 8  # lines of the table; further ties are in a second one


@dataclass(frozen=True)
class Advice:
    """A budget and what follows from it.

    Attributes:
        title, about: of the budget.
        decision: None where nothing can be decided; `why` says it.
    """

    title: str
    about: str
    decision: Decision | None
    why: str = ""

    @property
    def verdicts(self) -> list[Verdict]:
        return self.decision.verdicts if self.decision else []

    @property
    def flags(self) -> str:
        return self.decision.budget_flags if self.decision else ""


@dataclass(frozen=True)
class Pick:
    """A line of the table beside the recommendations of a model: a variant.

    Attributes:
        roles: what it is by each budget, empty where it is nothing.
        cells: as `HEADER` names them.
    """

    variant: str
    roles: Sequence[str]
    cells: Sequence[str]

    @property
    def taken(self) -> bool:
        return TAKE in self.roles


HEADER = ("× eager", "95 %", "error", "quality loss", "memory", "size", "build", "ready in")


class Adviser:
    """Decides on the files of a report for any budget; for the first models only, where there are many.

    Attributes:
        left: names of the models that it says nothing of.
    """

    def __init__(self, sources: Sequence[Source], models: Sequence[str]):
        self._models = list(models[:MOST_MODELS])
        self.left = list(models[MOST_MODELS:])
        given = [deciding.Source(source.file.name, _of_models(source, self._models)) for source in sources]
        try:
            self._gathered, self._why = gather_all(given), ""
        except BadInput as error:
            self._gathered, self._why = None, str(error)

    def decide(self, budget: Budget) -> tuple[Decision | None, str]:
        """The decision, or why there is none."""
        if self._gathered is None:
            return None, self._why
        try:
            return decide_on(self._gathered, budget), ""
        except BadInput as error:
            return None, str(error)

    def of(self, budget: Budget | None) -> list[Advice]:
        """By the budget, or by each of the usual ones."""
        if budget is not None:
            return [Advice("Your budget", "", *self.decide(budget))]
        return [Advice(title, about, *self.decide(Budget(tolerance_class=name))) for name, title, about in USUAL]


def _of_models(source: Source, models: Sequence[str]) -> dict[str, Any]:
    ours = source.content.get("eagerbench")
    cells = [cell for cell in source.cells if cell["model"] in models]
    benchmarks = [bench for bench in source.benchmarks
                  if older.topic(bench["extra_info"], "identity").get("model") in models]
    return {**source.content, "benchmarks": benchmarks,
            "eagerbench": {**(ours if isinstance(ours, dict) else {}), "cells": cells}}


def picks(verdicts: Sequence[Verdict | None]) -> list[Pick]:
    """What is taken, then eager, nearest misses, ties, and what may fit; each variant once.

    Args:
        verdicts: of one model, by each budget.
    """
    by_budget = [_roles(verdict) if verdict else {} for verdict in verdicts]
    names = dict.fromkeys(name for roles in by_budget for name in roles)
    found = []
    for name in names:
        roles = [of.get(name, "") for of in by_budget]
        candidate = next((one for verdict in verdicts if verdict and (one := verdict.of(name)) is not None), None)
        if candidate is not None:
            found.append(Pick(name, roles, _cells(candidate)))
    order = (TAKE, BASELINE, MISS, TIE, OPEN)
    return sorted(found, key=lambda pick: min(order.index(role) for role in pick.roles if role))


def split(text: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sentences that stand first, what to take, its ties and the nearest miss; and the rest, with every command."""
    first = [line for place, line in enumerate(text) if place == 0 or line.startswith("Nearest miss")
             or "cannot be told apart" in line or " would be " in line]
    return first, [line for line in text if line not in first]


def _roles(verdict: Verdict) -> dict[str, str]:
    found = dict.fromkeys(verdict.unjudged, OPEN) | {EAGER: BASELINE} | dict.fromkeys(verdict.ties, TIE)
    if verdict.nearest_miss:
        found[verdict.nearest_miss.variant] = MISS
    return found | ({verdict.choice: TAKE} if verdict.choice else {})


def _cells(one: Candidate) -> list[str]:
    speedup = one.speedup
    return [times(speedup.value) if speedup else NOTHING,
            bounds(speedup.low, speedup.high).strip() or NOTHING if speedup else NOTHING,
            percent(one.error.value) if one.error else NOTHING, _percent(one.quality_loss),
            _mib(one.memory_bytes), _mib(one.size_bytes), _seconds(one.build_s), _seconds(one.ready_s)]


def _percent(found: Estimate | None) -> str:
    if found is None:
        return NOTHING
    ends = "" if None in (found.low, found.high) or found.low == found.high else \
        f" [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return f"{100 * found.value:.1f}%{ends}"


def _mib(found: Estimate | None) -> str:
    return f"{digits(found.value / 2**20)} MiB" if found else NOTHING


def _seconds(found: Estimate | None) -> str:
    return f"{digits(found.value)} s" if found else NOTHING


def standing(verdict: Verdict | None) -> dict[str, str]:
    """Why a variant is out, in words, by its name: over the budget, or excluded whatever the budget is."""
    if verdict is None:
        return {}
    out = {one.variant: f"{one.kind}: {one.reason}" for one in verdict.excluded}
    for one in verdict.candidates:
        if one.fit in ("does not", "unknown"):
            out[one.variant] = "; ".join(judged.said for judged in one.judged if judged.fit != "fits") or one.fit
    return out
