"""What a record says beyond its columns: turns, rounds as quantiles, evidence, log, and how to repeat it."""

import shlex
from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec

from eagerbench.results.numbers import digits
from eagerbench.results.record import AgainstEager
from eagerbench.results.report.source import Row
from eagerbench.shown import visible

QUANTILES = (0, 5, 25, 50, 75, 95, 100)  # percent
MOST_WITH_TURNS = 1000  # records of a report; above, turns are quantiles only
MOST_TURNS = 60  # of a record
LOG_LINES = 41
_NOT_LISTED = {"reference_rounds", "variant_turns", "reference_turns", "turn_lost", "turn_switches", "facts", "options",
               "engagement"}


def of(row: Row, turns: bool) -> dict[str, Any]:
    """Ready for JSON; every text is safe to be shown.

    Args:
        turns: whether single turns are wanted too.
    """
    found: dict[str, Any] = {"log": _last_lines(row.log)} if row.log else {}
    if row.record is None:
        return found
    rounds = [1e3 * value for value in row.bench["stats"].get("data") or []]
    if rounds:
        found["rounds"] = [len(rounds), *_quantiles(rounds)]
    timing = row.record.timing
    reference = [1e3 * value for value in getattr(timing, "reference_rounds", [])]
    if reference:
        found["reference"] = [len(reference), *_quantiles(reference)]
        own = _medians(rounds, timing.variant_turns)
        pairs = list(zip(own, _medians(reference, timing.reference_turns), strict=False)) if own else []
        if turns and pairs:
            found["turns"] = [[_short(a), _short(b)] for a, b in pairs[:MOST_TURNS]]
            found["all_turns"] = len(pairs)
        elif pairs:
            found["ratios"] = [len(pairs), *_quantiles([b / a for a, b in pairs])]
    facts = {**row.record.identity.options, **row.record.engagement.facts}
    found["evidence"] = visible(row.record.engagement.engagement)
    if facts:
        found["facts"] = {visible(name): _text(value) for name, value in facts.items()}
    return {**found, "again": again(row)}


def again(row: Row) -> str:
    """The command that measures this case once more."""
    record = row.record
    parts = ["eagerbench", "run", f"test_{row.experiment.replace('-', '_')}.py", "--model", row.model, "--variant",
             row.variant]
    for option, name in (("--batch-sizes", "batch_size"), ("--sequence-lengths", "sequence_length")):
        value = getattr(record.workload, name, None) if row.experiment in ("latency", "length", "corpus") else None
        if value is not None:
            parts += [option, str(value)]
    parts += ["--threads", str(record.identity.threads)]
    parts += ["--device", record.identity.device] if record.identity.device != "cpu" else []
    parts += ["--seed", str(record.identity.seed)] if record.identity.seed else []
    return visible(shlex.join(parts))


def fields(row: Row) -> dict[str, str]:
    """Every single number of a record by its name, `result.call_s`; lists and what has a place of its own left out."""
    if row.record is None:
        return {}
    found = {}
    for topic in ("workload", "timing", "result", "correctness", "costs", "conditions", "gpu"):
        part = getattr(row.record, topic, None)
        for name, value in (msgspec.structs.asdict(part) if part is not None else {}).items():
            if name not in _NOT_LISTED and value is not None and not (isinstance(value, list | dict) and not value):
                found[f"{topic}.{name}"] = _text(value)
    return found


def _text(value: Any) -> str:
    if isinstance(value, float):
        return digits(value) if 1e-6 <= abs(value) < 1e9 or value == 0 else f"{value:.3g}"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, list):
        return visible(", ".join(map(_text, value[:12])) + (f", … {len(value) - 12} more" if len(value) > 12 else ""))
    return visible(f"{value:,}" if isinstance(value, int) else str(value)[:400])


def against_eager(row: Row) -> bool:
    return row.record is not None and isinstance(row.record.timing, AgainstEager)


def _medians(rounds: Sequence[float], turns: Sequence[int]) -> list[float]:
    """Of each turn; nothing where the file does not have every round."""
    if len(rounds) != sum(turns):
        return []
    found, start = [], 0
    for count in turns:
        found.append(median(rounds[start:start + count]))
        start += count
    return found


def _quantiles(values: Sequence[float]) -> list[float]:
    """By linear interpolation between ranks, as numpy's default."""
    ordered = sorted(values)
    found = []
    for percent in QUANTILES:
        place = percent / 100 * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        found.append(_short(ordered[low] + (place - low) * (ordered[high] - ordered[low])))
    return found


def _short(value: float) -> float:
    """Four digits: what a page shows."""
    return float(f"{value:.4g}")


def _last_lines(text: str) -> str:
    lines = text.splitlines()
    more = [f"… {len(lines) - LOG_LINES} lines before"] if len(lines) > LOG_LINES else []
    return "\n".join([*more, *(visible(line)[:300] for line in lines[-LOG_LINES:])])
