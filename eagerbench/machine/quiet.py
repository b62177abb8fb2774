"""Lets several sessions run, but only one measure: while one measures, it stops the others (SIGSTOP).

Whoever starts them (`scripts/gpu.sh`) names a directory in the environment, keeps the process groups of those that run
in its file `groups`, and wakes those that are left when one ends, whatever it ended by.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "EAGERBENCH_QUIET"
_LOCK, _GROUPS, _PAUSES = "lock", "groups", "pauses"


@contextmanager
def alone() -> Iterator[None]:
    """Wait for one's turn, and stop the other sessions meanwhile. Does nothing in a session that runs by itself."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        yield
        return
    with locked(Path(directory)):
        others = [group for group in groups(Path(directory)) if group != os.getpgrp()]
        send(others, signal.SIGSTOP)
        began = time.perf_counter()
        try:
            yield
        finally:
            with (Path(directory) / _PAUSES).open("a") as pauses:
                pauses.write(f"{os.getpgrp()} {began} {time.perf_counter()}\n")
            send(others, signal.SIGCONT)


def elapsed(since: float) -> float:
    """Seconds since a `time.perf_counter()`, without those that another session has stopped this one for."""
    now = time.perf_counter()  # one clock for all processes on Linux: CLOCK_MONOTONIC
    directory = os.environ.get(VARIABLE)
    file = Path(directory, _PAUSES) if directory else None
    if file is None or not file.exists():
        return now - since
    pauses = [line.split() for line in file.read_text().splitlines()]
    stopped = (min(float(end), now) - max(float(begin), since) for group, begin, end in pauses
               if int(group) != os.getpgrp())
    return now - since - sum(max(seconds, 0) for seconds in stopped)


@contextmanager
def locked(directory: Path, wait: bool = True) -> Iterator[None]:
    """While no session measures. Raises BlockingIOError without `wait` when one does."""
    with (directory / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def groups(directory: Path) -> list[int]:
    """Process groups of the sessions that run."""
    return [int(line) for line in (directory / _GROUPS).read_text().split()]


def start(directory: Path) -> None:
    """Forget what an earlier call left: its clock may be that of another boot."""
    (directory / _PAUSES).unlink(missing_ok=True)
    note(directory, [])


def note(directory: Path, running: Iterable[int]) -> None:
    """Replace the list of process groups."""
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / f"{_GROUPS}.partial"
    partial.write_text("\n".join(map(str, running)))
    partial.replace(directory / _GROUPS)


def send(running: Iterable[int], number: int) -> None:
    """A signal to process groups; one that has ended is none."""
    for group in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
