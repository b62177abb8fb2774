"""Which entries of a directory running processes use: each keeps a list beside a lock that is released when it ends.

A list and not a time: clocks jump. `.lock` in the directory is held for the moment in which an entry is noted, or is
looked up and moved away.
"""

import contextlib
import os
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from eagerbench.machine import owned

COMPILED = "inductor"  # entry of a store: the cache of torch.compile (`fixtures/settings.py`)
_PREFIX, _LOCK, _NAMES, _GUARD = ".use-", ".lock", ".names", ".lock"
UNSURE_S = 24 * 3600  # after which a lock of another host, or none at all, protects nothing


class Use:
    """The list of this process, for one directory. Ends with this object, or with the process in whatever way."""

    def __init__(self, root: Path):
        self._root = root
        self._lock: owned.Lock | None = None
        self._noted: set[str] = set()

    def note(self, name: str, touch: Path | None = None) -> bool:
        """Note that an entry is used from now on, and touch a file of it: its time is that of the last use.

        Returns:
            whether that file is there; True without one. A directory that cannot be written is used without a note.
        """
        with guarded(self._root):
            if touch is not None and not _touched(touch):
                return False
            if name not in self._noted:
                with contextlib.suppress(OSError):
                    self._lock = self._lock or self._begun()
                    with _names(self._lock.file).open("a") as names:
                        names.write(f"{name}\n")
                    self._noted.add(name)
        return True

    def _begun(self) -> owned.Lock:
        in_use(self._root)  # forgets what ended processes left
        lock = owned.Lock(self._root / f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}{_LOCK}")
        weakref.finalize(self, _end, lock, os.getpid())
        return lock


def _end(lock: owned.Lock, pid: int) -> None:
    if pid == os.getpid():  # in a forked child this is still the parent's
        with contextlib.suppress(OSError):
            _names(lock.file).unlink(missing_ok=True)
            lock.release()


def _touched(file: Path) -> bool:
    try:
        os.utime(file)
    except FileNotFoundError:
        return False
    except OSError:  # it cannot be written: it may still be read
        return file.exists()
    return True


def _names(lock: Path) -> Path:
    return lock.with_suffix(_NAMES)


@contextlib.contextmanager
def guarded(root: Path) -> Iterator[None]:
    """Inside, no other process notes or removes an entry; where nothing can be locked, everyone is let in."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(owned.alone(root / _GUARD, lambda: None))
        yield


def in_use(root: Path) -> set[str]:
    """Names of the entries that some process uses, or may use. Lists of ended processes are removed."""
    found: set[str] = set()
    for lock in root.glob(f"{_PREFIX}*{_LOCK}"):
        with owned.look(lock) as state:
            if state == owned.HELD or (state == owned.UNKNOWN and _age_s(lock) < UNSURE_S):
                found.update(_read(_names(lock)))
                continue
            with contextlib.suppress(OSError):
                _names(lock).unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
    return found


def can_lock(root: Path) -> bool:
    """Whether a lock can be held there: without one nobody can tell what is in use."""
    try:
        owned.Lock(root / f"{_PREFIX}try-{os.urandom(4).hex()}{_LOCK}").release()
    except OSError:
        return False
    return True


def _read(names: Path) -> list[str]:
    try:
        return names.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _age_s(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return 0.0
