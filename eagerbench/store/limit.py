"""Whether a store has grown past the limit above which a session warns."""

from pathlib import Path

from eagerbench.store.entries import PLACES, measured
from eagerbench.store.in_use import COMPILED

DEFAULT_MIB = 5120
_MIB = 2**20


def told(store: Path, limit_mib: int, command: str) -> str | None:
    """A line that says the size of a store and how to prune it; None while it is not larger than the limit.

    Args:
        limit_mib: 0 for none.
        command: how this project's command is called here.
    """
    if not limit_mib:
        return None
    size = sum(measured(store / place)[0] for place in (*PLACES, COMPILED)) / _MIB
    if size <= limit_mib:
        return None
    return f"artifacts take {size:,.0f} MiB (limit {limit_mib:,}): {command} artifacts --prune --keep {limit_mib}"
