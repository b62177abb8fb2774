"""One process of a supervised session: starts it, waits for it, reads its messages and ends it."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eagerbench.isolation.death import Death, death, kernel_kills
from eagerbench.isolation.link import STACK_SIGNAL, VARIABLE
from eagerbench.machine import children

ASKS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FROM_KERNEL = 0x80  # si_code: of a terminal, which tells its whole process group (man 2 sigaction)
_GRACE_S = 10.0  # for a process that was asked to end
_STACK_S = 0.5  # to write its stack
_MOST_FILES = 4  # that come with a message


class Part:
    """One process of the session, and what it has said so far.

    Attributes:
        journal: path; None before the first test.
        began: whether its session has opened the journal.
        ended: exit status of its session, once everything is saved.
    """

    def __init__(self, command: Sequence[str], number: int, goes_on: Path | None, mask: set[int],
                 hold: Callable[[Path], None], start_s: float):
        self.journal = goes_on
        self.began = False
        self._hold = hold
        self.saving = False
        self.ended: int | None = None
        self.allowed_s: float | None = None
        self.overrun = False
        self.asked: int | None = None
        self.stderr: int | None = None
        self._buffer = b""
        self._deadline: float | None = None
        self._started = time.monotonic()
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
        self._allow(start_s)

    @property
    def spent_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

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
            elif came.si_signo in ASKS:
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
            self.journal, self.began = Path(message["journal"]), True
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
