"""Which directory is full or not writable when a build or a run fails: artifacts or temporary files."""

import errno
import shutil
import tempfile
from pathlib import Path

from eagerbench.causes import chain

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_WORDS = ("No space left on device", "Disk quota exceeded")  # in the text of a library's own error
_NO_TEMPORARY = "No usable temporary directory"


def reason(error: BaseException, artifacts: Path) -> str | None:
    """What to free or to name, in one line; None where the error is of no such kind."""
    for one in chain(error):
        number = one.errno if isinstance(one, OSError) else None
        if _NO_TEMPORARY in str(one):
            return "there is no temporary directory that can be written; name one by the variable TMPDIR"
        if number in _CLOSED and (place := _place_of(one, artifacts)):
            return f"cannot write {place} ({one.strerror}); {_REMEDY[place.partition(' ')[0]]}"
        if number in _FULL or any(words in str(one) for words in _WORDS):
            place = _place_of(one, artifacts) or _fuller(artifacts)
            return f"no space left for {place}; free some, or {_REMEDY[place.partition(' ')[0]]}"
    return None


_REMEDY = {"artifacts": "name another directory with --artifacts",
           "temporary": "name another directory by the variable TMPDIR"}


def _places(artifacts: Path) -> dict[str, Path]:
    """The artifacts first: they may be below the temporary directory."""
    return {f"artifacts in {artifacts}": artifacts, f"temporary files in {tempfile.gettempdir()}":
            Path(tempfile.gettempdir())}


def _place_of(error: BaseException, artifacts: Path) -> str | None:
    """By the file's name, where the error has one."""
    names = [name for name in (getattr(error, "filename", None), getattr(error, "filename2", None))
             if isinstance(name, str)]
    return next((place for place, directory in _places(artifacts).items() for name in names
                 if Path(name).absolute().is_relative_to(directory.absolute())), None)


def _fuller(artifacts: Path) -> str:
    """A write that fails names no file: what it wrote is gone by now, but the smaller place is where it was."""
    def free(directory: Path) -> int:
        try:
            return shutil.disk_usage(directory).free
        except OSError:
            return 0

    places = _places(artifacts)
    return min(places, key=lambda place: free(places[place]))
