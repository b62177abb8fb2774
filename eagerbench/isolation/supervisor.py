"""The supervisor: runs a session as a process of its own, waits, and starts it again behind a case that ended it.

It waits in the kernel (`sigtimedwait`) for the end of that process, for a word of it, and for signals to pass on. It
asks for nothing at intervals. Its process must have no other thread, which could take a signal that is waited for, so
nothing that it imports may start one: no numpy.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from eagerbench.isolation import journal
from eagerbench.isolation.death import Death, death, kernel_kills
from eagerbench.isolation.link import STACK_SIGNAL, VARIABLE
from eagerbench.jsonfile import UnreadableFile
from eagerbench.machine import children
from eagerbench.machine.owned import Lock
from eagerbench.shown import say

CRASHED = 1  # exit code
POSSIBLE = hasattr(signal, "sigtimedwait") and hasattr(os, "memfd_create")  # Linux
_ASKS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FROM_KERNEL = 0x80  # si_code: of a terminal, which tells its whole process group (man 2 sigaction)
_GRACE_S = 10.0  # for a process that was asked to end
_STACK_S = 0.5  # to write its stack
_MOST_FILES = 4  # that come with a message


class _Part:
    """One process of the session, and what it has said so far.

    Attributes:
        journal: path; None before the first test.
        ended: exit status of its session, once everything is saved.
    """

    def __init__(self, command: Sequence[str], number: int, goes_on: Path | None, mask: set[int],
                 hold: Callable[[Path], None]):
        self.journal = goes_on
        self._hold = hold
        self.saving = False
        self.ended: int | None = None
        self.allowed_s: float | None = None
        self.overrun = False
        self.asked: int | None = None
        self.stderr: int | None = None
        self._buffer = b""
        self._deadline: float | None = None
        self._kills = kernel_kills()
        self._channel, theirs = socket.socketpair()
        self._faults = os.memfd_create("eagerbench-faults")
        fcntl.fcntl(self._channel, fcntl.F_SETOWN, os.getpid())  # SIGIO tells that there is something to read
        fcntl.fcntl(self._channel, fcntl.F_SETFL, os.O_RDWR | os.O_NONBLOCK | os.O_ASYNC)
        given = {"part": number, "journal": goes_on and str(goes_on), "channel": theirs.fileno(),
                 "faults": self._faults}

        def begin() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            children.die_with_parent()

        self._process = subprocess.Popen(command, env={**os.environ, VARIABLE: json.dumps(given)},
                                         pass_fds=(theirs.fileno(), self._faults), preexec_fn=begin)
        theirs.close()

    def wait(self, signals: set[int]) -> int:
        """Until the process has ended: its exit code as `os.waitstatus_to_exitcode` gives it."""
        while True:
            left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            came = signal.sigwaitinfo(signals) if left is None else signal.sigtimedwait(signals, left)
            if came is None:
                self._end()
            elif came.si_signo == signal.SIGIO:
                self._hear()
            elif came.si_signo == signal.SIGCONT:  # while we were stopped it was too
                self._allow(self.allowed_s)
            elif came.si_signo in _ASKS:
                self._pass_on(came)
            if (code := self._reap()) is not None:
                self._hear()
                return code

    def _reap(self) -> int | None:
        """Take the exit status of every process that has ended: orphans of the session are ours."""
        found = None
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._process.pid:
                    found = self._process.returncode = os.waitstatus_to_exitcode(ended[1])
        return found

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while True:
                data, files, *_ = socket.recv_fds(self._channel, 65536, _MOST_FILES)
                for file in files:
                    self._keep(file)
                if not data:
                    break
                self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "journal" in message:
            self.journal = Path(message["journal"])
            self._hold(self.journal)
        if "allowed_s" in message and self.asked is None:
            self._allow(message["allowed_s"])
        self.saving = self.saving or "saving" in message
        self.ended = message.get("ended", self.ended)

    def _keep(self, file: int) -> None:
        """The first file that is one: a terminal or a pipe cannot be read again."""
        if self.stderr is None and stat.S_ISREG(os.fstat(file).st_mode):
            os.set_inheritable(file, False)
            self.stderr = file
        else:
            os.close(file)

    def _allow(self, seconds: float | None) -> None:
        self.allowed_s = seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def _pass_on(self, came: Any) -> None:
        self.asked = came.si_signo
        if came.si_code != _FROM_KERNEL:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, self.asked)
        if self.asked != signal.SIGINT:
            self._deadline = time.monotonic() + _GRACE_S

    def _end(self) -> None:
        """Kill what takes too long; before that, have it write its stack."""
        self.overrun = self.asked is None
        with contextlib.suppress(ProcessLookupError):
            if STACK_SIGNAL is not None and self.overrun:
                os.kill(self._process.pid, STACK_SIGNAL)
                time.sleep(_STACK_S)
            os.kill(self._process.pid, signal.SIGKILL)
        self._deadline = None

    def death(self, code: int) -> Death:
        return death(code, self.allowed_s if self.overrun else None, kernel_kills() > self._kills, self._faults,
                     self.stderr)

    def close(self) -> None:
        """End what the process has left running, and forget it."""
        children.end_children()
        self._channel.close()
        for descriptor in (self._faults, self.stderr):
            if descriptor is not None:
                os.close(descriptor)


class Supervisor:
    """
    Args:
        command: of the session.
        again: as a user would type it, to go on with it.
    """

    def __init__(self, command: Sequence[str], again: str):
        self._command = command
        self._again = again
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
                part = _Part(self._command, number, kept, mask, self._hold)
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

    def _verdict(self, part: _Part, code: int) -> int | None:
        """The session's exit code; None to go on behind what crashed."""
        if part.ended is not None:
            if code >= 0 or part.asked:
                return code
            _tell(f"{part.death(code).how} at the end of the session, after everything was saved")
            return max(part.ended, CRASHED)
        if part.asked is not None:
            return self._asked_to_end(part, code)
        if part.journal is None:
            if code < 0:
                found = part.death(code)
                _tell(f"crashed: {found.how} before any test began", *found.stack)
            return code if code >= 0 else CRASHED
        if part.saving and code >= 0:  # an error in saving, which pytest has shown
            self._tell_what_is_left(part.journal)
            return code or CRASHED
        return self._crashed(part, code)

    def _asked_to_end(self, part: _Part, code: int) -> int:
        if part.journal is not None and part.journal.exists():
            with contextlib.suppress(OSError):
                journal.append(part.journal, {"ended": signal.Signals(part.asked).name})
            self._tell_what_is_left(part.journal)
        return -part.asked if code == -signal.SIGKILL else code

    def _crashed(self, part: _Part, code: int) -> int | None:
        found = part.death(code)
        try:
            content = journal.read(part.journal)
            begun = content.begun
            where = f"{found.how} in {begun['what']} while {begun['phase']}" if begun else f"{found.how} between tests"
            journal.append(part.journal, _line(begun, found, where))
        except (OSError, UnreadableFile, KeyError) as error:
            _tell(f"crashed: {found.how}; the session cannot go on behind it: {error}", *found.stack)
            return CRASHED
        if begun is None and not any(part["finished"] for part in content.parts[-1:]):
            _tell(f"crashed: {found.how} before any test began, so going on would end there again", *found.stack)
            self._tell_what_is_left(part.journal)
            return CRASHED
        _tell(f"crashed: {where}; going on behind it")
        return None

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
    asks = {number for number in _ASKS if signal.getsignal(number) != signal.SIG_IGN}  # as by nohup
    signals = {signal.SIGCHLD, signal.SIGIO, signal.SIGCONT, *asks}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield signals, mask
    finally:
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # drops what is still pending
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
