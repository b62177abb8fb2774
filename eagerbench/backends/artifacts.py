"""The artifact cache: directories keyed by everything that determines their content, written all or nothing."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eagerbench.machine import owned

MANIFEST = "manifest.json"
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
    """Cache under one root.

    Args:
        root: directory of the cache.
        rebuild: build every entry again, once per store.
    """

    def __init__(self, root: Path, rebuild: bool = False):
        self.root = root
        self._rebuild = rebuild
        self._fresh: set[Path] = set()

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
            facts = _verified_facts(directory)
            if facts is not None:
                return Artifact(directory, facts, cached=True)
        facts = self._write(directory, key, write)
        self._fresh.add(directory)
        return Artifact(directory, facts, cached=False)

    def _write(self, directory: Path, key: Mapping, write: Callable[[Path], Mapping]) -> Mapping:
        self.root.mkdir(parents=True, exist_ok=True)
        self._remove_stale()
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=self.root))
        lock = _lock(partial)
        try:
            facts = write(partial)
            manifest = {"key": key, "facts": facts, "sha256": {f.relative_to(partial).as_posix(): _sha256(f)
                                                              for f in _files(partial)}}
            (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
            if directory.exists():
                shutil.rmtree(directory)
            try:
                os.rename(partial, directory)
            except OSError:  # another process finished the same entry meanwhile
                if _verified_facts(directory) is None:
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if lock is not None:
                lock.release()
        return facts

    def _remove_stale(self) -> None:
        """What processes left that were killed while writing. Without locks, what nobody has touched for a day."""
        for stale in self.root.glob(".partial-*"):
            lock = stale if stale.suffix == _LOCK else stale.with_name(f"{stale.name}{_LOCK}")
            with contextlib.suppress(OSError), owned.look(lock) as state:  # another process may clean up at this time
                old = time.time() - stale.stat().st_mtime > _STALE_S
                if state == owned.FREE or (state == owned.UNKNOWN and old and not lock.exists()):
                    shutil.rmtree(stale, ignore_errors=True)
                    lock.unlink(missing_ok=True)


def _lock(partial: Path) -> owned.Lock | None:
    """Beside the directory, whose files become the artifact. None where the file system knows no locks."""
    try:
        return owned.Lock(partial.with_name(f"{partial.name}{_LOCK}"))
    except OSError:
        return None


def _verified_facts(directory: Path) -> Mapping[str, Any] | None:
    """The facts of an entry, or None when it is absent or damaged."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        intact = {f.relative_to(directory).as_posix(): _sha256(f) for f in _files(directory)} == manifest["sha256"]
        return manifest["facts"] if intact else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _files(directory: Path) -> list[Path]:
    return sorted(f for f in directory.rglob("*") if f.is_file() and f != directory / MANIFEST)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
