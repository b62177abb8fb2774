"""Strict reading and writing of JSON files: whatever is in them, an error is one line with the file and the reason."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

MOST_BYTES = 256 * 2**20  # 200 benchmarks with a million rounds each; parsing takes several times that of memory
_PART = 2**20
_MOST_PROBLEMS = 20


class UnreadableFile(Exception):
    """A file that is not what it should be. Its text has one line a problem, each with the file and the reason."""


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        UnreadableFile: missing, too large, not JSON, a name twice in one object, or no object at all.
    """
    raw = bytearray()
    try:
        with file.open("rb") as stream:
            while len(raw) <= MOST_BYTES and (part := stream.read(_PART)):
                raw += part
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MOST_BYTES:
        raise UnreadableFile(f"{file}: larger than {MOST_BYTES >> 20} MiB; save it without --benchmark-save-data")
    if not raw.strip():
        raise UnreadableFile(f"{file}: empty, not JSON; was the session that wrote it interrupted?")
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{file}: not JSON ({_one_line(error)}); save it again") from None
    if not isinstance(content, dict):
        raise UnreadableFile(f"{file}: a JSON {type(content).__name__}, no object: no list of benchmarks in it")
    return content


def refuse(file: Path | str, problems: list[str]) -> None:
    """Raise UnreadableFile when there are problems, with a line for each of the first twenty."""
    if problems:
        more = [f"and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        raise UnreadableFile("\n".join(f"{file}: {_one_line(line)}" for line in [*problems[:_MOST_PROBLEMS], *more]))


def schema_problems(content: Any, name: str) -> Iterator[str]:
    """One line for each place of `content` that does not fit `analysis/<name>`."""
    for error in _validator(name).iter_errors(content):
        place = ".".join(map(str, error.path))[:120] or "the file"
        shown = error.message if len(error.message) < 200 else f"{error.message[:100]} … {error.message[-90:]}"
        yield f"{place}: {shown}"


def schema(name: str) -> dict[str, Any]:
    """The content of `analysis/<name>`."""
    return json.loads(files("analysis").joinpath(name).read_text(encoding="utf-8"))


def write(file: Path, content: dict[str, Any]) -> None:
    """Write JSON that a person can read too.

    Raises:
        UnreadableFile: the file cannot be written, or JSON has no such number.
    """
    try:
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise UnreadableFile(f"{file}: not written: its inputs have a NaN or an infinity, which JSON has not") from None
    write_text(file, text + "\n")


def write_text(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFile(f"{file}: cannot be written ({reason})") from None


@cache
def _validator(name: str):
    import jsonschema

    return jsonschema.Draft202012Validator(schema(name))


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twin!r} stands twice in one object")
    return found


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
