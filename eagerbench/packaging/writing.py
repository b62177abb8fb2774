"""Where a package goes: a directory, there whole or not at all, or a .zip file with equal bits for equal files."""

import contextlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from eagerbench.errors import BadInput

ZIP = ".zip"
_WHEN = (1980, 1, 1, 0, 0, 0)
_PART = 2**20


def target(text: str) -> Path:
    """The directory or .zip file that `-o` names.

    Raises:
        BadInput: it is there already and no empty directory, or cannot be made.
    """
    try:
        path = Path(text).expanduser().absolute()
        there, inside = os.path.lexists(path), path.is_dir() and any(path.iterdir())
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"-o {text}: {getattr(error, 'strerror', None) or error}; name another directory") from None
    if there and (inside or not path.is_dir() or path.suffix == ZIP):
        raise BadInput(f"-o {text}: exists already; name a new directory or {ZIP} file")
    parent = path.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise BadInput(f"-o {text}: {parent} is not a writable directory")
    return path


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A directory beside the target, with the package's name; at the end it becomes the target, on an error nothing.

    Raises:
        BadInput: the disk is full, or the target cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".eagerbench-package-", dir=path.parent) as scratch:
            directory = Path(scratch) / path.name.removesuffix(ZIP)
            directory.mkdir()
            yield directory
            if path.suffix == ZIP:
                file = Path(scratch) / f"{directory.name}{ZIP}"
                write_zip(directory, file)
                os.rename(file, path)
            else:
                if path.is_dir():  # empty
                    path.rmdir()
                os.rename(directory, path)
    except OSError as error:
        raise BadInput(f"-o {path}: {error.strerror or error}; name another place") from None


def write_zip(directory: Path, file: Path) -> None:
    """Sorted, stored, of one date: nothing in it depends on when or where it is written."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for one in files(directory):
            entry = zipfile.ZipInfo(f"{directory.name}/{one.relative_to(directory).as_posix()}", _WHEN)
            entry.external_attr = 0o100644 << 16
            entry.file_size = one.stat().st_size
            with one.open("rb") as source, archive.open(entry, "w") as copy:
                shutil.copyfileobj(source, copy, _PART)


def files(directory: Path) -> list[Path]:
    """Of a package, sorted by their names in it."""
    return sorted((one for one in directory.rglob("*") if one.is_file()),
                  key=lambda one: one.relative_to(directory).as_posix())
