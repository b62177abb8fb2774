"""`eagerbench artifacts`: what the store of built models holds, and pruning it by age, size and staleness.

Exit codes: 0 listed or pruned; 2 usage, or an artifact that cannot be removed.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eagerbench.errors import BadInput
from eagerbench.option_values import directory_path, number
from eagerbench.results.grid import Grid, show
from eagerbench.selection import ARTIFACTS_HELP, default_artifacts
from eagerbench.shown import count, say
from eagerbench.store.entries import Entry, entries
from eagerbench.store.prune import MIB, Limits, chosen, remove

FORMAT = "eagerbench-artifacts/1"
_KINDS = {"peak": "measured peaks", "weights": "weights", "half": "half written"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--artifacts", metavar="DIR", help=f"directory of built models {ARTIFACTS_HELP}")
    add("--json", action="store_true", help="print one JSON object")
    add("--unchecked", action="store_true", help="do not compare files with their checksums")
    add("--prune", action="store_true",
        help="remove damaged and half-written artifacts, and what the next options name; artifacts of a running "
             "session stay")
    add("--older-than", metavar="DAYS", help="with --prune: artifacts that were not used for so many days")
    add("--keep", "--larger-than", metavar="MIB", help="with --prune: the least recently used artifacts, until so many "
        "MiB are left")
    add("--stale", action="store_true", help="with --prune: artifacts of other code or versions than those here")
    add("--dry-run", action="store_true", help="with --prune: only print what would be removed")


@dataclass(frozen=True)
class _Fate:
    """Of an entry in a prune: why it goes, and why it stayed all the same."""

    why: str = ""
    kept: str = ""


def run(options: argparse.Namespace) -> int:
    store = directory_path("--artifacts", options.artifacts or default_artifacts())
    limits = _limits(options)
    now = time.time()
    found = entries(store, verify=not options.unchecked)
    going = chosen(found, limits, now) if options.prune else {}
    fates = {entry.directory: _Fate(going[entry.directory], "" if options.dry_run else remove(entry))
             for entry in found if entry.directory in going}
    if options.json:
        say(json.dumps(_as_json(store, found, fates, options.dry_run, now), indent=1))
    elif options.prune:
        _say_pruned(store, found, fates, options.dry_run)
    else:
        _say_listed(store, found, now)
    return 2 if any(fate.kept.startswith("cannot") for fate in fates.values()) else 0


def _limits(options: argparse.Namespace) -> Limits:
    given = [option for option, value in (("--older-than", options.older_than), ("--keep", options.keep),
                                          ("--stale", options.stale or None), ("--dry-run", options.dry_run or None))
             if value is not None]
    if given and not options.prune:
        raise BadInput(f"{given[0]}: says what to prune; add --prune, and --dry-run to see what it would remove")
    keep = number("--keep", options.keep, "MiB")
    return Limits(number("--older-than", options.older_than, "days"), None if keep is None else round(keep * MIB),
                  options.stale)


def _say_listed(store: Path, found: Sequence[Entry], now: float) -> None:
    if not found:
        say(f"{store}: no artifacts")
        return
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        variant = _KINDS.get(entry.kind, entry.variant)
        groups.setdefault((entry.model or "–", variant or "unknown"), []).append(entry)
    rows = [[model, variant, f"{len(group)}", _mib(sum(entry.bytes for entry in group)),
             _ago(now - max(entry.last_used for entry in group)), _state(group)]
            for (model, variant), group in sorted(groups.items())]
    total = sum(entry.bytes for entry in found)
    out = [entry for entry in found if entry.stale and not entry.damage]
    note = f"{_mib(total)} MiB in {count(len(found), 'artifact')} in {store}"
    note += f"; stale: {_mib(sum(entry.bytes for entry in out))} MiB (--prune --stale)" if out else ""
    show([Grid("Artifacts", ["model", "variant", "number", "MiB", "last used", "state"], rows, note)], markdown=False)


def _state(group: Sequence[Entry]) -> str:
    """What is to be said of entries of one model and variant, most frequent words with their number."""
    said = {}
    for entry in group:
        words = [entry.damage and f"damaged: {entry.damage}" if entry.kind != "half" else entry.damage,
                 entry.stale and not entry.damage and f"stale: {'; '.join(entry.stale)}", entry.used_by]
        for text in filter(None, words):
            said[text] = said.get(text, 0) + 1
    return "\n".join(text if number == len(group) else f"{number} {text}" for text, number in said.items()) or "ok"


def _say_pruned(store: Path, found: Sequence[Entry], fates: dict[Path, _Fate], dry_run: bool) -> None:
    gone = [entry for entry in found if entry.directory in fates and not fates[entry.directory].kept]
    rows = [[entry.place, _mib(entry.bytes), fate.why if not fate.kept else f"kept: {fate.kept}"]
            for entry in found if (fate := fates.get(entry.directory)) is not None]
    freed, total = sum(entry.bytes for entry in gone), sum(entry.bytes for entry in found)
    used = [entry for entry in found if entry.used_by]
    note = (f"{'would remove' if dry_run else 'removed'} {len(gone)} of {count(len(found), 'artifact')}, {_mib(freed)} "
            f"of {_mib(total)} MiB in {store}")
    note += f"; in use and kept: {len(used)} ({_mib(sum(entry.bytes for entry in used))} MiB)" if used else ""
    if rows:
        show([Grid("To be removed" if dry_run else "Removed", ["artifact", "MiB", "why"], rows, note)], markdown=False)
    else:
        say(note)


def _as_json(store: Path, found: Sequence[Entry], fates: dict[Path, _Fate], dry_run: bool, now: float
             ) -> dict[str, Any]:
    return {"format": FORMAT, "directory": str(store), "mib": _number(sum(entry.bytes for entry in found)),
            "dry_run": dry_run, "artifacts": [
                {"place": entry.place, "kind": entry.kind, "model": entry.model, "variant": entry.variant,
                 "mib": _number(entry.bytes), "days_since_use": round((now - entry.last_used) / 86400, 3),
                 "damage": entry.damage, "stale": list(entry.stale), "used_by": entry.used_by,
                 "removed": (fate := fates.get(entry.directory, _Fate())).why != "" and not fate.kept and not dry_run,
                 "why": fate.why, "kept": fate.kept} for entry in found]}


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f}"


def _number(size: int) -> float:
    return round(size / MIB, 3)


def _ago(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            return f"{count(int(seconds // size), unit)} ago"
    return "just now"
