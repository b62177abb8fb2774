"""Three programs on the same series with known steps: how often each sees a step, right or wrong."""

import functools
import json
from typing import Any

import numpy as np

from eagerbench.history import changes
from scripts.docs.kept import RESULTS

NEAR = 2  # runs between a true step and the place that is named
OURS = "eagerbench"
PROGRAMS = (OURS, "asv", "otava")


@functools.cache
def series() -> dict[str, list[dict[str, Any]]]:
    """By kind; each has its true steps and, by program, the places of the steps that this names."""
    content = json.loads((RESULTS / "step-series.json").read_text(encoding="utf-8"))
    found: dict[str, list[dict[str, Any]]] = {}
    for one in content["series"]:
        values = content["unit"] * np.array(one["values"], float)
        (ours,) = changes.find([values])  # each is a report of its own
        found.setdefault(one["kind"], []).append({**one, OURS: [step.at for step in ours]})
    return found


def found(one: dict[str, Any], program: str) -> bool:
    """Whether every true step is named, within two runs."""
    return all(any(abs(step - place) <= NEAR for place in one[program]) for step in one["steps"])


def false(one: dict[str, Any], program: str) -> bool:
    """Whether a step is named that is none."""
    return any(all(abs(step - place) > NEAR for step in one["steps"]) for place in one[program])


def rows() -> list[list[str]]:
    """A row a kind of series: of each program the share of series whose steps it finds, and with a false one."""
    return [[kind, str(len(group)), *(_cell(group, program) for program in PROGRAMS)]
            for kind, group in series().items()]


def _cell(group: list[dict[str, Any]], program: str) -> str:
    if program not in group[0]:
        return "–"
    wrong = sum(false(one, program) for one in group) / len(group)
    if not group[0]["steps"]:
        return f"false {wrong:.1%}"
    return f"found {sum(found(one, program) for one in group) / len(group):.0%}, false {wrong:.1%}"
