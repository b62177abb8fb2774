"""Seconds of calls that do not count: the way to another process that runs them, and back.

Whoever times a call takes off what was added meanwhile. A call in another process is timed there, and the pipe is no
part of it.
"""

_spent_s = 0.0


def add(seconds: float) -> None:
    """Note seconds that were spent in a call, and are not its own."""
    global _spent_s
    _spent_s += seconds


def spent_s() -> float:
    """All that were noted so far."""
    return _spent_s
