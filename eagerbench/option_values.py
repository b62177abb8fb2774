"""Values of options from their texts. Each refuses, in one line that names the option, what it cannot take."""

import os
import re
import tempfile
from pathlib import Path

from eagerbench.errors import BadInput, unknown


def one_of(kind: str, value: str, valid: tuple[str, ...]) -> str:
    if value not in valid:
        raise unknown(kind, value, valid)
    return value


def whole(option: str, text: str, least: int = 1) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip()) or int(text) < least:
        raise BadInput(f"{option} {text}: expected a whole number of at least {least}")
    return int(text)


def whole_list(option: str, text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(whole(option, part) for part in text.split(",")))


def seconds(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise BadInput(f"{option} {text}: expected a number of seconds above 0")
    return value


def milliseconds(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.1 <= value <= 60_000:
        raise BadInput(f"{option} {text}: expected a number of milliseconds, 0.1 to 60000")
    return value


def number(option: str, text: str | None, unit: str) -> float | None:
    """A number of 0 or more; None where nothing is given."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise BadInput(f"{option} {text}: expected a number of {unit}, 0 or more")
    return value


def directory_path(option: str, text: str) -> Path:
    """The path of a directory, which need not exist."""
    path = _path(option, text)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{option} {text}: no directory")
    return path


def _path(option: str, text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except (RuntimeError, ValueError) as error:  # nobody's home
        raise BadInput(f"{option} {text}: {error}; write the path out") from None


def writable_directory(option: str, text: str, create: bool) -> Path:
    path = _path(option, text)
    if not create:
        return path
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"x")
    except OSError as error:
        raise BadInput(f"{option} {text}: {error.strerror or error}; name a directory that can be written") from None
    return path


def output_file(option: str, text: str | None) -> Path | None:
    if text is None:
        return None
    path = _path(option, text)
    try:
        place = path if path.exists() else path.parent
        usable = not path.is_dir() and path.parent.is_dir() and os.access(place, os.W_OK)
    except OSError:  # too long for a name
        usable = False
    if not usable:
        raise BadInput(f"{option} {text}: expected a file in an existing directory that can be written")
    return path
