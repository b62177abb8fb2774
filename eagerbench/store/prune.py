"""Which entries of a store go, and their removal."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eagerbench.backends.artifacts import abandoned, set_aside
from eagerbench.store import in_use
from eagerbench.store.entries import Entry, last_use
from eagerbench.store.in_use import COMPILED

_DAY_S = 24 * 3600
MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What is to go beside what is damaged or half written; None for no such limit.

    Attributes:
        older_than_days: what nobody has used for so long.
        keep_bytes: the least recently used ones, until so much is left.
        stale: what no session of this environment would use again.
    """

    older_than_days: float | None = None
    keep_bytes: int | None = None
    stale: bool = False


def chosen(entries: Sequence[Entry], limits: Limits, now: float) -> dict[Path, str]:
    """Why each entry that is to go goes, by its directory. What is in use never does.

    Args:
        now: seconds since the epoch.
    """
    found: dict[Path, str] = {}
    free = [entry for entry in entries if not entry.used_by]
    for entry in free:
        days = (now - entry.last_used) / _DAY_S
        if entry.damage:
            found[entry.directory] = entry.damage
        elif limits.stale and entry.stale:
            found[entry.directory] = f"stale: {'; '.join(entry.stale)}"
        elif limits.older_than_days is not None and days > limits.older_than_days:
            found[entry.directory] = f"not used for {days:.0f} days"
    if limits.keep_bytes is not None:
        left = sum(entry.bytes for entry in entries if entry.directory not in found)
        for entry in sorted(free, key=lambda one: one.last_used):
            if left <= limits.keep_bytes:
                break
            if entry.directory not in found and entry.bytes:
                found[entry.directory] = f"least recently used, above {limits.keep_bytes / MIB:,.0f} MiB"
                left -= entry.bytes
    return found


def remove(entry: Entry) -> str:
    """Remove an entry, unless somebody has begun to use it since it was looked at.

    Returns:
        why it was kept; empty when it is gone.
    """
    directory = entry.directory
    try:
        if entry.kind == "half":
            with abandoned(directory) as sure:
                if not sure:
                    return "being written"
                shutil.rmtree(directory)
            return ""
        root = directory.parent
        with in_use.guarded(root):
            name = COMPILED if entry.kind == "compiled" else directory.name
            if name in in_use.in_use(root) or (entry.kind != "compiled" and last_use(directory) != entry.last_used):
                return "in use by now"
            set_aside(directory)
    except FileNotFoundError:
        return ""  # somebody else removed it
    except OSError as error:
        return f"cannot be removed: {error.strerror or error}"
    return ""
