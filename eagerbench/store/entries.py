"""What is in a directory of artifacts: size, last use, and what is wrong with it."""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eagerbench.backends.artifacts import MANIFEST, PARTIAL, abandoned, checksums
from eagerbench.store import in_use, stale
from eagerbench.store.in_use import COMPILED

PLACES = ("variants", "memory", "cpp")
_NAME = re.compile(r"(.+)-[0-9a-f]{16}")
_LONGEST_MANIFEST = 16 * 2**20  # bytes


@dataclass(frozen=True)
class Entry:
    """Something that can be removed alone.

    Attributes:
        kind: artifact, weights (of a model, saved for other processes), peak (a measured peak of memory), runner (in
            C++), compiled (what torch.compile keeps) or half (what a process is writing, or has left).
        model, variant: as far as they are known, otherwise empty.
        bytes: of its files.
        last_used: seconds since the epoch.
        damage: why it cannot be used, otherwise empty.
        stale: why no session of this environment would use it again.
        used_by: who uses it, otherwise empty.
    """

    kind: str
    directory: Path
    model: str
    variant: str
    bytes: int
    last_used: float
    damage: str = ""
    stale: tuple[str, ...] = ()
    used_by: str = ""

    @property
    def place(self) -> str:
        """`variants/minilm-onnxruntime-0123456789abcdef`."""
        return f"{self.directory.parent.name}/{self.directory.name}" if self.kind != "compiled" else self.directory.name


def entries(store: Path, verify: bool = True) -> list[Entry]:
    """Everything below a directory of artifacts that can be removed, in the order of names.

    Args:
        verify: read every file and compare it with its checksum.
    """
    found = [entry for place in PLACES for entry in _of_place(store / place, verify)]
    if _is_directory(store):
        found += [_half(directory) for directory in sorted(store.glob(f"{PARTIAL}*")) if _is_directory(directory)]
    compiled = store / COMPILED
    if _is_directory(compiled) and any(compiled.iterdir()):
        size, newest = measured(compiled)
        used = COMPILED in in_use.in_use(store)
        found.append(Entry("compiled", compiled, "", "torch.compile's cache", size, newest,
                           used_by=_SESSION if used else ""))
    return found


_SESSION = "in use by a session"


def _of_place(root: Path, verify: bool) -> Iterator[Entry]:
    if not _is_directory(root):
        return
    used, sure = in_use.in_use(root), None
    for directory in sorted(root.iterdir()):
        if not _is_directory(directory):  # never behind a link
            continue
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            if directory.name.startswith(PARTIAL):
                yield _half(directory)
            elif _NAME.fullmatch(directory.name):
                used_by = _SESSION if directory.name in used else ""
                if not used_by and _recent(directory):
                    sure = in_use.can_lock(root) if sure is None else sure
                    used_by = "" if sure else "used within a day, where nothing can be locked"
                yield _entry(directory, used_by, verify)


def _half(directory: Path) -> Entry:
    size, newest = measured(directory)
    with abandoned(directory) as sure:
        said = "half written by a process that was killed" if sure else "half written"
        return Entry("half", directory, "", "", size, newest, said, used_by="" if sure else "being written")


def _entry(directory: Path, used_by: str, verify: bool) -> Entry:
    size, _ = measured(directory)
    label = _NAME.fullmatch(directory.name)[1].removesuffix("-checkpoint")  # of a variant, saved quantised
    kind = {"memory": "peak", "cpp": "runner"}.get(directory.parent.name, "artifact")
    try:
        manifest = _manifest(directory)
        variant, why_stale = _of_key(manifest["key"])
        damage = "its files do not match their checksums" if verify and checksums(directory) != manifest["sha256"] \
            else ""
    except FileNotFoundError:
        directory.stat()  # gone, or without a manifest
        variant, why_stale, damage = "", (), "it has no manifest"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        variant, why_stale, damage = "", (), "its manifest cannot be read"
    return Entry("weights" if variant == "weights" else kind, directory, label.removesuffix(f"-{variant}"), variant,
                 size, last_use(directory), damage, why_stale, used_by)


def _of_key(key: Any) -> tuple[str, tuple[str, ...]]:
    """The variant of a key, and why it is stale; of a key of another kind nothing is known, and it is no damage."""
    try:
        variant = "weights" if key.get("format") == "safetensors" else str(key.get("build", key)["variant"])
        return variant, tuple(stale.reasons(key))
    except (KeyError, TypeError, AttributeError):
        return "", ()


def _manifest(directory: Path) -> Mapping[str, Any]:
    with (directory / MANIFEST).open("rb") as stream:
        return json.loads(stream.read(_LONGEST_MANIFEST))


def last_use(directory: Path) -> float:
    """When an entry was last asked for: the time of its manifest."""
    for file in (directory / MANIFEST, directory):
        with contextlib.suppress(OSError):
            return file.stat().st_mtime
    return 0.0


def measured(directory: Path) -> tuple[int, float]:
    """Bytes of the files below a directory, links not followed, and the time of the newest."""
    size, newest, waiting = 0, 0.0, [directory]
    with contextlib.suppress(OSError):
        newest = directory.stat().st_mtime
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as inside:
            for one in inside:
                with contextlib.suppress(OSError):
                    if one.is_dir(follow_symlinks=False):
                        waiting.append(Path(one.path))
                    else:
                        found = one.stat(follow_symlinks=False)
                        size, newest = size + found.st_size, max(newest, found.st_mtime)
    return size, newest


def _recent(directory: Path) -> bool:
    return time.time() - last_use(directory) < in_use.UNSURE_S


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
