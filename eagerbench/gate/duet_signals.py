"""Ctrl-C, SIGTERM and SIGHUP end a duet in order: what it started and made is gone when it returns."""

import contextlib
import os
import signal
from collections.abc import Iterator

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal asked to end. No error: `except Exception` must not catch it."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextlib.contextmanager
def ends_in_order() -> Iterator[None]:
    """The signals raise `Ended` inside. A SIGHUP that is ignored (nohup) stays ignored."""

    def end(number, frame):
        raise Ended(number)

    with _handled(end):
        yield


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that come inside take effect at its end: for short work that must not be left half done."""
    seen: list[int] = []
    try:
        with _handled(lambda number, frame: seen.append(number)):
            yield
    finally:
        if seen:
            os.kill(os.getpid(), seen[0])


@contextlib.contextmanager
def _handled(handler) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number in _ENDING:
            if number != signal.SIGHUP or before[number] != signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
