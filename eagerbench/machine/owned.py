"""Whether a process still uses a file or directory, by a lock that the kernel releases when the process ends.

A process number proves nothing: containers that share a directory have numbers of their own, and numbers are used
again. `flock` is the kernel's, whatever namespace its holder is in, and a SIGKILL releases it.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

FREE, HELD, UNKNOWN = "free", "held", "unknown"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_LONGEST = 4096  # bytes of a lock file
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)  # of a file system that knows none


class Lock:
    """Held from its making until `release`, or until this process ends in whatever way.

    Raises:
        OSError: the file system is read-only or full, or knows no locks.
    """

    def __init__(self, file: Path):
        self.file = file
        self._descriptor, partial = tempfile.mkstemp(prefix=".lock-", dir=file.parent)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._descriptor, json.dumps({**_here(), "pid": os.getpid()}).encode())
            os.replace(partial, file)  # nobody sees it before it is locked
        except OSError:
            os.close(self._descriptor)
            os.unlink(partial)
            raise

    def release(self) -> None:
        """Remove the file, then the lock."""
        self.file.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Remove the lock alone: the file says that it is free."""
        os.close(self._descriptor)


@contextlib.contextmanager
def look(file: Path) -> Iterator[str]:
    """FREE where it is sure that nobody holds this lock (inside, nobody can take it), HELD, or UNKNOWN.

    Unknown: the file is missing or cannot be read, the file system knows no locks, or the lock was made on another
    host, where a network file system may keep locks to itself.
    """
    descriptor = None
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("no lock of ours")  # reading a pipe would wait for ever
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made = json.loads(os.read(descriptor, _LONGEST))
        here = isinstance(made, dict) and any(made.get(name) == value for name, value in _here().items() if value)
        state = FREE if here else UNKNOWN
    except BlockingIOError:
        state = HELD
    except (OSError, ValueError, RecursionError):
        state = UNKNOWN
    try:
        yield state
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def alone(file: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Inside, no other process is inside with this file, which stays; `waits` is called where one is, once.

    Where the file system knows no locks everyone is let in.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)


def _here() -> dict[str, str]:
    """This host, and its boot."""
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = ""
    return {"host": socket.gethostname(), "boot": boot}
