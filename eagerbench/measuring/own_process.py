"""Processes of their own that may crash, hang, be killed, print garbage or leave children.

Whatever one does, it costs what it was to measure, with a reason of one line; nothing of it stays: no process, no
stopped child, no file. The parent waits in the kernel, for output, an end or the deadline: it never polls.
"""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from eagerbench.causes import last_words
from eagerbench.errors import CannotRun, Crashed, first_line
from eagerbench.machine import owned, spent
from eagerbench.machine.children import STARTER
from eagerbench.measuring.served import ERROR

ELSEWHERE = "in a process of its own"
_ROOT = Path(__file__).parents[2]
_PREFIX, _LOCK = "eagerbench-process-", "owner.lock"
_MARK = "EAGERBENCH_PROCESS"
_TAIL = 2**16  # bytes of output that are kept: a process may print without end
_CLEARED_S = 10  # that killed processes may take to be gone
_UNWATCHED_S = 0.2  # between looks where the kernel does not tell when a process has ended (no pidfd)


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


def environment() -> dict[str, str]:
    """Of a process that finds this package, wherever it is started."""
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


class OwnProcess:
    """A running process, the leader of a group. To be closed, which kills it and all that it started.

    Args:
        variant: what runs in it, for the reason.
        arguments: its command.
        notes: the file in which it notes what it is doing (`served.Served`).
        cores: those it has from its first instruction on; None for all of this process.
        variables: its environment; None for this process's.
    """

    def __init__(self, variant: str, arguments: Sequence[str], notes: Path, cores: Sequence[int] | None = None,
                 variables: Mapping[str, str] | None = None):
        self._variant = variant
        self._notes = notes
        self._kills = _kills_for_memory()
        self._mark = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._late_s: float | None = None
        self.output, self.errors = bytearray(), bytearray()  # the last of what it printed
        marked = {**(variables or environment()), _MARK: self._mark, STARTER: str(os.getpid())}
        with _on(cores):
            self._process = subprocess.Popen(arguments, env=marked, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE, process_group=0)
        self.pid = self._process.pid
        self.ended = False

    @property
    def streams(self) -> dict[int, bytearray]:
        return {self._process.stdout.fileno(): self.output, self._process.stderr.fileno(): self.errors}

    def tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended: found out by who waits for it
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def look(self) -> None:
        """See whether it has ended, and leave its number taken until it is closed."""
        self.ended = self.ended or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def late(self, after_s: float) -> None:
        """Note that it has not done in time what it was to do."""
        self._late_s = after_s

    def close(self) -> int:
        """Kill it and all that it started. Safe to call again.

        Returns:
            its exit status, negative for a signal.
        """
        if self._process.returncode is None:  # once it is reaped, its number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            _kill_marked(f"{_MARK}={self._mark}".encode())
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                with contextlib.suppress(OSError):
                    stream.close()
        return self._process.returncode

    def require(self) -> None:
        """
        Raises:
            Crashed: it was killed, was late, or ended otherwise than in Python.
            CannotRun: it ended by a Python exception.
        """
        ended = self.ended
        status = self.close()
        if ended and status == 0:
            return
        if ended and (error := _read(self._notes.with_suffix(ERROR))):
            raise CannotRun(f"{ELSEWHERE}: {error}")
        how = how_it_ended(status)
        if not ended:
            how = f"no answer in {self._late_s:g} s"
        elif -status == signal.SIGKILL:
            how += _who_killed(self._kills)
        raise self.crashed(how)

    def crashed(self, how: str) -> Crashed:
        doing = _read(self._notes) or "starting"
        words = last_words(self.errors.decode(errors="replace"))
        return Crashed(f"crashed: {how} in {self._variant} while {doing}, {ELSEWHERE}{f' ({words})' if words else ''}")

    @contextlib.contextmanager
    def results(self) -> Iterator[None]:
        """Around the reading of what it has written.

        Raises:
            Crashed: that is not there, or cannot be read.
        """
        try:
            yield
        except Exception as error:
            raise self.crashed(f"ended without a usable result ({first_line(error)})") from error


def how_it_ended(status: int) -> str:
    """Of an exit status, negative for a signal."""
    return f"ended with status {status}" if status >= 0 else signal.Signals(-status).name


def wait(processes: Sequence[OwnProcess], done: Callable[[OwnProcess], bool], timeout_s: float,
         part: str = "processes") -> None:
    """Wait until each process is done or has ended, and note the late ones. Their output is read meanwhile.

    Args:
        part: what the time is booked as (`machine.spent`).
    """
    deadline = time.monotonic() + timeout_s
    with spent.during(part), selectors.DefaultSelector() as waiting, contextlib.ExitStack() as watched:
        buffers: dict[int, bytearray] = {}
        unwatched = False
        for process in processes:
            try:
                ends = os.pidfd_open(process.pid)
                watched.callback(os.close, ends)
                waiting.register(ends, selectors.EVENT_READ)
            except (OSError, AttributeError):
                unwatched = True
            for stream, buffer in process.streams.items():
                os.set_blocking(stream, False)
                waiting.register(stream, selectors.EVENT_READ)
                buffers[stream] = buffer
        while True:
            open_ends = [process for process in processes if not (process.ended or done(process))]
            left = deadline - time.monotonic()
            if not open_ends:
                return
            if left <= 0:
                for process in open_ends:
                    process.late(timeout_s)
                return
            ready = [key.fd for key, _ in waiting.select(min(left, _UNWATCHED_S) if unwatched else left)]
            for process in open_ends:  # before the last output is read
                process.look()
            for fd in ready:
                if not drained(fd, buffers.get(fd)):
                    waiting.unregister(fd)
            for process in open_ends:
                if process.ended:
                    for stream, buffer in process.streams.items():
                        drained(stream, buffer)


def drained(fd: int, buffer: bytearray | None) -> bool:
    """Read what is there; whether more may come. A process that has ended says nothing more."""
    if buffer is None:
        return False
    read = 0
    with contextlib.suppress(BlockingIOError):
        while part := os.read(fd, _TAIL):
            buffer += part
            del buffer[:-_TAIL]
            read += len(part)
            if read >= _TAIL:
                return True
        return False
    return True


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory, removed at the end; by the next process that makes one where this one is killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), owned.look(left / _LOCK) as state:
            if state == owned.FREE and left.lstat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = None
    try:
        with contextlib.suppress(OSError):  # a file system that knows no locks
            lock = owned.Lock(directory / _LOCK)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            lock.release()


@contextlib.contextmanager
def _on(cores: Sequence[int] | None) -> Iterator[None]:
    """A child has the cores of the thread that starts it."""
    ours = os.sched_getaffinity(0) if cores else None
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        if ours:
            os.sched_setaffinity(0, ours)


def _kill_marked(mark: bytes) -> None:
    """Kill what a process has started and left, also in a group or session of its own: it inherits the mark."""
    deadline = time.monotonic() + _CLEARED_S
    while time.monotonic() < deadline:
        found = [int(place.parent.name) for place in Path("/proc").glob("[0-9]*/environ") if _has(place, mark)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _has(environ: Path, mark: bytes) -> bool:
    try:
        return mark in environ.read_bytes().split(b"\0")
    except OSError:  # another user's, or gone
        return False


def _kills_for_memory() -> int | None:
    """How many processes the kernel has killed on this machine because memory ran out; None where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill":
                return int(number)
    return None


def _who_killed(before: int | None) -> str:
    now = _kills_for_memory()
    if None in (before, now):
        return " (as the kernel does when memory runs out)"
    return " by the kernel, as memory ran out," if now > before else " (not by the kernel for want of memory)"


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
