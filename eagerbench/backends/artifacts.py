"""The artifact cache: directories keyed by everything that affects their content, written completely or not at all."""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eagerbench.machine import owned
from eagerbench.store.in_use import Use

MANIFEST = "manifest.json"
PARTIAL = ".partial-"
_LOCK = ".lock"
_STALE_S = 24 * 3600


@dataclass(frozen=True)
class Artifact:
    """A finished cache entry. `facts` is what its writer stored about it, `cached` whether it was found."""

    directory: Path
    facts: Mapping[str, Any]
    cached: bool

    @property
    def bytes(self) -> int:
        """Size of the artifact's files, manifest left out."""
        return sum(f.stat().st_size for f in _files(self.directory))


_saving_s: list[float] = []


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """Around the writing of an artifact's file, where a backend can tell it from making what is in it."""
    start = time.perf_counter()
    yield
    _saving_s.append(time.perf_counter() - start)


def take_saving_s() -> float | None:
    """Seconds inside of `saving` since the last time; None without any."""
    taken = sum(_saving_s) if _saving_s else None
    _saving_s.clear()
    return taken


class ArtifactStore:
    """Cache under one root. An entry that was asked for is in use, and not pruned, as long as this object lives; the
    time of its manifest is that of its last use.

    Args:
        root: directory of the cache.
        rebuild: build every entry again, once per store.
    """

    def __init__(self, root: Path, rebuild: bool = False):
        self.root = root
        self._rebuild = rebuild
        self._fresh: set[Path] = set()
        self._use = Use(root)

    def get(self, label: str, key: Mapping[str, Any], write: Callable[[Path], Mapping[str, Any]]) -> Artifact:
        """Find the entry of `key`, or have `write` fill an empty directory and keep it.

        An entry whose files do not match their recorded checksums is built again. Whatever goes wrong while
        writing, no half-written entry stays.

        Raises:
            OSError: no space, no permission (its `filename` names the cache).
        """
        text = json.dumps(key, sort_keys=True)
        directory = self.root / f"{label}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        if not self._rebuild or directory in self._fresh:
            there = self._use.note(directory.name, directory / MANIFEST) if directory.exists() else False
            facts = _verified_facts(directory) if there else None
            if facts is not None:
                return Artifact(directory, facts, cached=True)
        facts = self._write(directory, key, write)
        self._fresh.add(directory)
        return Artifact(directory, facts, cached=False)

    def _write(self, directory: Path, key: Mapping, write: Callable[[Path], Mapping]) -> Mapping:
        self.root.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self.root)
        with scratch(self.root) as partial:
            facts = write(partial)
            manifest = {"key": key, "facts": facts, "sha256": checksums(partial)}
            (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
            self._use.note(directory.name)
            if directory.exists():
                with contextlib.suppress(FileNotFoundError):  # another process is as far as this one
                    set_aside(directory)
            try:
                os.rename(partial, directory)
            except OSError:  # another process finished the same entry meanwhile
                if _verified_facts(directory) is None:
                    raise
        return facts


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """An empty directory below `root` that is removed at the end, if it is still there: by the next process that writes
    where this one is killed."""
    partial, lock = root / f"{PARTIAL}{os.getpid()}-{os.urandom(4).hex()}", None
    with contextlib.suppress(OSError):  # a file system that knows no locks
        lock = owned.Lock(_lock_of(partial))  # beside it: its files become the artifact; and never without it
    try:
        partial.mkdir(mode=0o700)
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if lock is not None:
            lock.release()


def set_aside(directory: Path) -> None:
    """Remove an entry: at once as seen from outside, so that being killed meanwhile leaves no half of it.

    Raises:
        OSError: it cannot be moved.
    """
    with scratch(directory.parent) as partial:
        os.rename(directory, partial / directory.name)


def remove_abandoned(root: Path) -> None:
    """Remove what processes left that were killed while writing."""
    for partial in sorted(root.glob(f"{PARTIAL}*")):  # a directory comes before its lock, and goes before it
        with contextlib.suppress(OSError), abandoned(partial) as sure:  # another process may clean up at this time
            if sure:
                shutil.rmtree(partial, ignore_errors=True)
                _lock_of(partial).unlink(missing_ok=True)


@contextlib.contextmanager
def abandoned(partial: Path) -> Iterator[bool]:
    """Whether a scratch directory, or its lock, is certainly nobody's. Without locks, when it is a day old.

    Raises:
        OSError: it is gone.
    """
    lock = _lock_of(partial)
    with owned.look(lock) as state:
        old = time.time() - partial.stat().st_mtime > _STALE_S
        yield state == owned.FREE or (state == owned.UNKNOWN and old and not lock.exists())


def _lock_of(partial: Path) -> Path:
    return partial if partial.suffix == _LOCK else partial.with_name(f"{partial.name}{_LOCK}")


def checksums(directory: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest, by its path."""
    return {f.relative_to(directory).as_posix(): _sha256(f) for f in _files(directory)}


def _verified_facts(directory: Path) -> Mapping[str, Any] | None:
    """The facts of an entry, or None when it is absent or damaged."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        intact = checksums(directory) == manifest["sha256"]
        return manifest["facts"] if intact else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _files(directory: Path) -> list[Path]:
    return sorted(f for f in directory.rglob("*") if f.is_file() and f != directory / MANIFEST)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
