"""The store: a folder of entries, one file a run. A branch, an artifact or a bucket keeps it; there is no server."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eagerbench import jsonfile
from eagerbench.history import entry as entries
from eagerbench.history.entry import Entry
from eagerbench.shown import one_line


@dataclass(frozen=True)
class Store:
    """What a folder holds: `entries` by time, and a line for each file that is none."""

    entries: Sequence[Entry]
    left_out: Sequence[str] = ()


def add(store: Path, entry: Entry) -> tuple[Path, bool]:
    """Its file, and whether it was not there yet. A file appears whole or not at all.

    Raises:
        UnreadableFile: it cannot be written.
    """
    file = store / entries.name(entry)
    if file.exists():
        return file, False
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(prefix=".entry-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(entries.encoded(entry))
            os.chmod(partial, 0o644)
            os.replace(partial, file)
        except BaseException:
            os.unlink(partial)
            raise
    except OSError as error:
        raise jsonfile.UnreadableFile(f"{file}: cannot be written ({error.strerror or error})") from None
    return file, True


def read(store: Path) -> Store:
    """Every entry of a folder, by time. A file that is none costs itself.

    Raises:
        UnreadableFile: no such folder, or no entry in it.
    """
    files = sorted(store.rglob("*.json")) if store.is_dir() else []
    if not files:
        raise jsonfile.UnreadableFile(f"{store}: no history here; `eagerbench history add FILE --store {store}` "
                                      "begins one")
    found: dict[str, Entry] = {}
    left_out = []
    for file in files:
        if not file.resolve().is_relative_to(store.resolve()):
            left_out.append(f"{file}: leads out of {store}")
            continue
        try:
            content = jsonfile.read_object(file)
            if content.get("format") != entries.FORMAT:
                raise jsonfile.UnreadableFile(f"{file}: no {entries.FORMAT}; add it by `eagerbench history add`")
            entry = entries.typed(file, content)
        except jsonfile.UnreadableFile as error:
            left_out += map(one_line, str(error).splitlines())
            continue
        found.setdefault(entries.name(entry), entry)  # a copy is the same run
    if not found:
        jsonfile.refuse(store, left_out)
    return Store(sorted(found.values(), key=lambda one: (one.when, one.commit.id)), left_out)
