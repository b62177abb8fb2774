"""The tables of docs/peers.md, of docs/results/peers.json."""

import json
from typing import Any

from eagerbench.shown import markdown
from scripts.docs.kept import RESULTS
from scripts.peers import summary

_HEADERS = {
    "truth": ["model", "what is called", "measured by", "ms", "bare loop, ms", "off by"],
    "speed": ["model", "class", "our fastest", "ms", "their fastest", "ms", "theirs / ours", "faster"],
    "missing": ["what", "the tool's own words"],
}
_NOT_QUIET = 0.1  # cores of other work, from which on it is no result


def peers(kind: str) -> str:
    """One of the tables: `truth`, `speed` or `missing`."""
    file = RESULTS / "peers.json"
    if not file.exists():
        return "No measurement is kept: `make peers` makes one."
    found = json.loads(file.read_text(encoding="utf-8"))
    rows = getattr(summary, kind)(found["numbers"])
    if not rows:
        return "None." if kind == "missing" else "The kept measurement has none of it."
    said = "" if kind == "missing" else f"\n\n{_said(kind, found)}"
    lines = [_HEADERS[kind], ["---"] * len(_HEADERS[kind]), *(list(map(markdown, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + said


def _said(kind: str, found: dict[str, Any]) -> str:
    busy = summary.others(found["numbers"])
    placeholder = (f" Other work took up to {busy:.1f} cores meanwhile: a placeholder, not a result."
                   if busy > _NOT_QUIET else "")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    goal = f"{summary.goal(found['numbers'])} " if kind == "truth" else ""
    return (f"{goal}From [peers.json](results/peers.json): {found['date']}, {found['cpu']}, {found['cores']} cores, "
            f"{found['threads']} threads, {found['repeats']} processes a side, {versions}.{placeholder}")
