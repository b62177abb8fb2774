"""The supervisor: runs a session as a child process, waits, and starts it again after a case that ended it.

It waits in the kernel (`sigtimedwait`) for the end of that process, for a word of it, and for signals to pass on. It
asks for nothing at intervals. Its process must have no other thread, which could take a signal that is waited for, so
nothing that it imports may start one: no numpy.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from eagerbench.isolation import journal
from eagerbench.isolation.death import Death
from eagerbench.isolation.part import ASKS, Part
from eagerbench.jsonfile import UnreadableFile
from eagerbench.machine import children
from eagerbench.machine.owned import Lock
from eagerbench.shown import say

CRASHED = 1  # exit code
POSSIBLE = hasattr(signal, "sigtimedwait") and hasattr(os, "memfd_create")  # Linux
START_S = 1800.0  # of a process, to its first test: imports, collection, the models that were named


class Supervisor:
    """
    Args:
        command: of the session.
        again: as a user would type it, to go on with it.
        start_s: seconds that each of its processes has to its first test.
    """

    def __init__(self, command: Sequence[str], again: str, start_s: float = START_S):
        self._command = command
        self._again = again
        self._start_s = start_s
        self._lock: Lock | None = None

    def run(self) -> int:
        """Returns the session's exit code; ends by the signal that ended the session where one was asked for."""
        children.adopt_orphans()
        with _blocked() as (signals, mask):
            code = self._parts(signals, mask)
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        return code

    def _parts(self, signals: set[int], mask: set[int]) -> int:
        """The exit code, or a signal's number below zero."""
        number, kept, verdict = 0, None, None
        try:
            while verdict is None:
                number += 1
                part = Part(self._command, number, kept, mask, self._hold, self._start_s)
                try:
                    verdict = self._verdict(part, part.wait(signals))
                finally:
                    part.close()
                kept = part.journal
            return verdict
        finally:
            self._let_go(kept)

    def _hold(self, file: Path) -> None:
        """While this process lives nobody takes the journal for that of a session that has ended."""
        if self._lock is None:
            with contextlib.suppress(OSError):
                self._lock = Lock(file.with_suffix(".lock"))

    def _let_go(self, file: Path | None) -> None:
        """A journal that stays is free for who goes on with it."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                if file is not None and file.exists():
                    self._lock.leave()
                else:
                    self._lock.release()

    def _verdict(self, part: Part, code: int) -> int | None:
        """The session's exit code; None to continue after a crash."""
        if part.ended is not None:
            if code >= 0 or part.asked:
                return code
            _tell(f"{part.death(code).how} at the end of the session, after everything was saved")
            return max(part.ended, CRASHED)
        if part.asked is not None:
            return self._asked_to_end(part, code)
        if part.journal is None:
            if code < 0:
                self._tell_of_the_start(part, part.death(code))
            return code if code >= 0 else CRASHED
        if part.saving and code >= 0:  # an error in saving, which pytest has shown
            self._tell_what_is_left(part.journal)
            return code or CRASHED
        return self._crashed(part, code)

    def _asked_to_end(self, part: Part, code: int) -> int:
        if part.journal is not None and part.journal.exists():
            with contextlib.suppress(OSError):
                journal.append(part.journal, {"ended": signal.Signals(part.asked).name, "spent_s": part.spent_s})
            self._tell_what_is_left(part.journal)
        return -part.asked if code == -signal.SIGKILL else code

    def _crashed(self, part: Part, code: int) -> int | None:
        found = part.death(code)
        try:
            content = journal.read(part.journal)
            begun = content.begun
            where = f"{found.how} in {begun['what']} while {begun['phase']}" if begun else f"{found.how} between tests"
            journal.append(part.journal, {**_line(begun, found, where), "spent_s": part.spent_s})
        except (OSError, UnreadableFile, KeyError) as error:
            _tell(f"crashed: {found.how}; the session cannot continue after it: {error}", *found.stack)
            return CRASHED
        if begun is None and not (part.began and content.parts[-1]["finished"]):
            self._tell_of_the_start(part, found)
            self._tell_what_is_left(part.journal)
            return CRASHED
        _tell(f"crashed: {where}; continuing after it")
        return None

    def _tell_of_the_start(self, part: Part, found: Death) -> None:
        """No test is to blame, and going on would end there again."""
        more = " (imports, collection and models; --case-timeout SECONDS allows more)" if part.overrun else ""
        _tell(f"crashed: {found.how} before any test began{more}", *found.stack)

    def _tell_what_is_left(self, file: Path) -> None:
        with contextlib.suppress(UnreadableFile):
            _tell(*journal.left(file, journal.read(file), self._again))


def _line(begun: journal.Line | None, found: Death, where: str) -> journal.Line:
    """Of the journal. The cell has the whole story: the test left nothing else."""
    crash = {"how": found.how, "phase": begun and begun["phase"], "stderr": found.stderr, "stack": found.stack}
    line = {"crashed": begun and begun["began"], "said": where, "memory": found.memory, "crash": crash}
    if begun and begun.get("cell"):
        reason = f"crashed: {where}"
        line |= {"case": begun["case"], "cell": {**begun["cell"], "status": "failed", "reason": reason, "crash": crash}}
    return line


def _tell(*lines: str) -> None:
    """On a line of its own: the process that ended may have been in the middle of one."""
    with contextlib.suppress(OSError):  # nobody reads it any more
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not have a name's letters
        sys.stdout.write("\r\x1b[K" if sys.stdout.isatty() else "\n")
        say("\n".join([f"eagerbench: {lines[0]}", *lines[1:]]))
        sys.stdout.flush()


@contextlib.contextmanager
def _blocked() -> Iterator[tuple[set[int], set[int]]]:
    """Block what is waited for: those signals, and the mask before."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asks = {number for number in ASKS if signal.getsignal(number) != signal.SIG_IGN}  # as by nohup
    signals = {signal.SIGCHLD, signal.SIGIO, signal.SIGCONT, *asks}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield signals, mask
    finally:
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # drops what is still pending
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
