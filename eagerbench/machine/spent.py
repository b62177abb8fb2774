"""Where the seconds of a process go: each belongs to one part, the innermost that is open.

The clock is read where a part begins and ends: around calls that are timed, never inside of one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What a part is, as tables say it. In the order of a session.
PARTS = {
    "starting": "starting: interpreter, imports, options and plan",
    "collecting": "collecting tests",
    "ahead": "exports and peaks of memory ahead of the first case, two at a time",
    "models": "loading models, and their fingerprints",
    "references": "inputs, and what eager gives in float32 and float64",
    "building": "building: exports, conversions, compilation",
    "opening": "opening what was built: checksums and loading",
    "warming_up": "first calls and warm-up",
    "timing": "timed turns, eager's among them",
    "judging": "judging outputs",
    "probing": "probing that the optimisation ran",
    "processes": "processes of their own: peaks of memory, start-up, several at once",
    "recording": "records: the machine's peak, statistics",
    "saving": "journal and file",
    "waiting": "standing still while the other side works",
    "pytest": "pytest: around cases, and tests without one",
}


class Account:
    """
    Args:
        part: what is going on when it begins.
        since: when that was, by the clock.
        clock: seconds that only grow.
    """

    def __init__(self, part: str, since: float, clock: Callable[[], float] = time.perf_counter):
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._open = [part]
        self._since = since
        self._clock = clock

    def _note(self) -> None:
        now = self._clock()
        self._seconds[self._open[-1]] += now - self._since
        self._since = now

    def enter(self, part: str) -> None:
        """What goes on from here on wherever no other part is open."""
        self._note()
        self._open[0] = part

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Inside, seconds belong to `part`, or to one that is opened in it."""
        self._note()
        self._open.append(part)
        try:
            yield
        finally:
            self._note()
            self._open.pop()

    def seconds(self) -> dict[str, float]:
        """Of every part, up to now."""
        self._note()
        return dict(self._seconds)


_now = Account("pytest", time.perf_counter())


def begin(whole_process: bool) -> None:
    """Forget what was noted, and count from the start of this process, or from here on."""
    import psutil

    global _now
    age_s = max(0.0, time.time() - psutil.Process().create_time()) if whole_process else 0.0
    _now = Account("starting", time.perf_counter() - age_s)


def enter(part: str) -> None:
    """As of `Account`, for this process."""
    _now.enter(part)


@contextmanager
def during(part: str) -> Iterator[None]:
    """As of `Account`, for this process. Only its main thread may."""
    with _now.during(part):
        yield


def seconds() -> dict[str, float]:
    """As of `Account`, for this process."""
    return _now.seconds()
