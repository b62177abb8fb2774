"""Reading the files that `duet` writes (`duet.schema.json`)."""

import math
from collections.abc import Container, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from eagerbench import jsonfile
from eagerbench.results import sameness

FORMAT = "eagerbench-duet/1"
GIVE_UP_AFTER = 2  # invalid pairs in succession
CONTROL = "control/"  # what a benchmark without code of the project is called
_AGREEMENT = 1e-6  # of the stored log ratio with that of the stored turns

Duet = dict[str, Any]


def read(file: Path) -> Duet:
    """One duet file, checked.

    Raises:
        UnreadableFile: with a line for each problem.
    """
    content = jsonfile.read_object(file)
    check(file, content)
    return content


def check(file: Path | str, content: Any) -> None:
    """Raise UnreadableFile, naming `file`, when `content` is no duet that can be judged."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        shown = content.get("format") if isinstance(content, dict) else None
        jsonfile.refuse(file, [f"format {str(shown)[:60]!r}, expected {FORMAT!r}: no file of a duet"])
    jsonfile.refuse(file, list(jsonfile.schema_problems(content, "gate/duet.schema.json")) or list(_problems(content)))


def finished(duet: Duet) -> bool:
    """Whether there is something to judge, and the run was not given up."""
    return any(pair["valid"] and pair["arm"] == "head" for pair in duet["pairs"]) and any(
        pair["valid"] for pair in duet["pairs"][-GIVE_UP_AFTER:])


def together(files: list[Path], duets: list[Duet]) -> None:
    """Raise UnreadableFile unless all are of the same two revisions, each file once."""
    for index, (file, duet) in enumerate(zip(files, duets, strict=True)):
        for side in ("base", "head"):
            ours, first = duet[side]["revision"], duets[0][side]["revision"]
            if ours != first:
                jsonfile.refuse(file, [f"its {side} is {ours!r}, not {first!r} as in {files[0]}: judge them apart"])
        if duet.get("suite") != duets[0].get("suite"):
            jsonfile.refuse(file, [f"measured by another version of eagerbench than {files[0]}: judge them apart"])
        if duet in duets[:index]:
            jsonfile.refuse(file, [f"the same pairs as {files[duets.index(duet)]}: give each file once"])


def meanings(duets: list[Duet]) -> dict[str, tuple[str, str]]:
    """By benchmark, why base's and head's are not one, and what changed in the model that is judged all the same."""
    found: dict[str, list[sameness.Meaning]] = {}
    for duet in duets:
        for side in ("base", "head"):
            for bench, model in duet[side].get("models", {}).items():
                found.setdefault(bench, []).append(sameness.meaning(model))
    theirs = any(compares_models(duet) for duet in duets)
    return {bench: sameness.changed(one, weights_judged=theirs) for bench, one in found.items()}


def compares_models(duet: Duet) -> bool:
    """Whether the user's models are compared: then other weights of one are a change, and no other benchmark."""
    return "suite" in duet or "model" in duet["head"]


def without(duets: list[Duet], benches: Container[str]) -> list[Duet]:
    """The duets as if these benchmarks had not been measured."""
    return [{**duet, "pairs": [{**pair, "benchmarks": {bench: ratio for bench, ratio in pair["benchmarks"].items()
                                                       if bench not in benches}}
                               for pair in duet["pairs"]]} for duet in duets]


def _problems(duet: Duet) -> Iterator[str]:
    seen = set()
    for pair in duet["pairs"]:
        name = f"pair {pair['index']} of arm {pair['arm']}"
        if (pair["index"], pair["arm"]) in seen:
            yield f"{name} occurs twice"
        seen.add((pair["index"], pair["arm"]))
        for bench, ratio in pair["benchmarks"].items():
            problem = _ratio_problem(ratio)
            if problem:
                yield f"{name}, {bench}: {problem}"


def _ratio_problem(ratio: dict[str, Any]) -> str | None:
    base, head = ratio["base_turns"], ratio["head_turns"]
    if not ratio["turns"] == len(base) == len(head):
        return f"turns is {ratio['turns']}, with {len(base)} of base and {len(head)} of head"
    try:
        logs = [math.log(slow) - math.log(fast) for slow, fast in zip(head, base, strict=True)]
        stored = float(ratio["log_ratio"])
    except OverflowError:
        return "a number too large for a time"
    if not all(map(math.isfinite, [stored, *logs])):
        return "a time or ratio that is not a finite number"
    if abs(median(logs) - stored) > _AGREEMENT:
        return f"log_ratio is {stored:.6g}, its turns give {median(logs):.6g}"
    return None
