"""The processor as py-cpuinfo describes it, asked once in a process: to ask takes a third of a second."""

from collections.abc import Mapping
from typing import Any

_known: Mapping[str, Any] | None = None


def note(found: Mapping[str, Any]) -> None:
    """Keep what somebody else has asked for."""
    global _known
    _known = dict(found)


def info() -> Mapping[str, Any]:
    """As `cpuinfo.get_cpu_info` gives it."""
    if _known is None:
        import cpuinfo

        note(cpuinfo.get_cpu_info())
    return _known
