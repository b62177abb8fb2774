"""Strict reading and writing of JSON files: whatever is in them, an error is one line with the file and the reason."""

import json
import math
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from eagerbench.shown import one_line, visible

MOST_BYTES = 256 * 2**20  # 200 benchmarks with a million rounds each; parsing takes several times that of memory
_PART = 2**20
_MOST_PROBLEMS = 20
_LARGEST = 2**63  # of a whole number
_QUOTE, _COLON, _ESCAPE, _SPACES = ord('"'), ord(":"), ord("\\"), b" \t\n\r"
_ESCAPED = (b"u0022", b"u003a", b"u003A")  # a quote, a colon


class UnreadableFile(Exception):
    """A file that is not what it should be. Each line names the file and a problem, and is safe for a terminal."""

    def __init__(self, *lines: str):
        super().__init__("\n".join(map(visible, lines)))


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file: UTF-8, or UTF-16 or UTF-32 as some shells write it, with or without a byte-order mark.

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
    content = parsed_quickly(raw)
    if content is None:
        content = _parsed(file, raw)
    if not isinstance(content, dict):
        raise UnreadableFile(f"{file}: a JSON {type(content).__name__}, no object: no list of benchmarks in it")
    return renamed(content)


def parsed_quickly(raw: bytes | bytearray) -> Any:
    """What JSON says, ten times as fast as Python's own parser; None where that has to look.

    It has to wherever something may be wrong: what is no JSON or no UTF-8, or a name that may be twice in one object.
    The parser here keeps the last of such twins without a word, so that names are counted: what it found is written
    again, and has as many of `":` as the file.
    """
    try:
        content = msgspec.json.decode(raw)
        again = msgspec.json.encode(content)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    return content if _names(raw) == again.count(b'":') else None


def _names(raw: bytes | bytearray) -> int | None:
    """How many of `":` are in JSON; None where a name may stand otherwise: with space before the colon, or with one of
    both as an escape."""
    characters = np.frombuffer(raw, np.uint8)
    if b"\\u" in raw and any(raw[place + 1:place + 6] in _ESCAPED for place in np.flatnonzero(characters == _ESCAPE)):
        return None
    before = characters[np.flatnonzero(characters[1:] == _COLON)]
    found = np.bincount(before, minlength=128)
    return None if found[list(_SPACES)].any() else int(found[_QUOTE])


def _parsed(file: Path, raw: bytearray) -> Any:
    encoding = json.detect_encoding(raw)
    try:
        return json.loads(raw.decode(encoding), object_pairs_hook=_without_twins)
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{file}: not JSON (byte {error.start} is no {encoding}: {error.reason}); save it as UTF-8"
                             ) from None
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{file}: not JSON ({one_line(error)}); save it again") from None


def renamed(content: dict[str, Any]) -> dict[str, Any]:
    """A file's content with today's name of this project, which was inference-bench until version 0.2."""
    if "inference_bench" in content and "eagerbench" not in content:
        content = {"eagerbench" if name == "inference_bench" else name: value for name, value in content.items()}
    if isinstance(kind := content.get("format"), str) and kind.startswith("inference-bench-"):
        content["format"] = kind.replace("inference-bench-", "eagerbench-", 1)
    return content


def refuse(file: Path | str, problems: list[str]) -> None:
    """Raise UnreadableFile when there are problems, with a line for each of the first twenty."""
    if problems:
        more = [f"and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        raise UnreadableFile(*(f"{file}: {one_line(line)}" for line in [*problems[:_MOST_PROBLEMS], *more]))


def schema_problems(content: Any, name: str) -> Iterator[str]:
    """One line for each place of `content` that does not fit `eagerbench/<name>`, or that holds no usable number."""
    yield from number_problems(content)
    for error in _validator(name).iter_errors(content):
        place = ".".join(map(str, error.path))[:120] or "the file"
        shown = error.message if len(error.message) < 200 else f"{error.message[:100]} … {error.message[-90:]}"
        yield f"{place}: {shown}"


def schema(name: str) -> dict[str, Any]:
    """The content of `eagerbench/<name>`."""
    return json.loads(files("eagerbench").joinpath(name).read_text(encoding="utf-8"))


def write(file: Path, content: dict[str, Any]) -> None:
    """Write JSON that a person can read too.

    Raises:
        UnreadableFile: the file cannot be written, or JSON has no such number.
    """
    try:
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise UnreadableFile(f"{file}: not written: its inputs hold NaN or infinity, which JSON cannot") from None
    write_text(file, text + "\n")


def write_text(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFile(f"{file}: cannot be written ({reason})") from None


def number_problems(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[str]:
    """One line for each number that cannot be used.

    NaN is a number to JSON's schema and fits every bound; a whole number of 400 digits is too large for a float.
    """
    if not _all_usable(value):
        yield from _unusable(value, place)


def _all_usable(value: Any) -> bool:
    """The same question without places, which is ten times as quick: nearly every record has nothing to tell."""
    if isinstance(value, dict):
        return all(map(_all_usable, value.values()))
    if isinstance(value, list):
        if set(map(type, value)) == {float}:
            return all(map(math.isfinite, value))
        return all(map(_all_usable, value))
    return math.isfinite(value) if isinstance(value, float) else not isinstance(value, int) or abs(value) <= _LARGEST


def _unusable(value: Any, place: tuple[str | int, ...]) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{'.'.join(map(str, place))} is {value}, not a finite number"
    elif isinstance(value, int) and abs(value) > _LARGEST:
        yield f"{'.'.join(map(str, place))} is too large a number"
    elif isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unusable(inner, (*place, name))


@cache
def _validator(name: str):
    """JSON's schema calls 1.0 an integer; Python would count with it and fail, or show it."""
    import jsonschema

    whole = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    strict = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=whole)
    return strict(schema(name))


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twin!r} occurs twice in one object")
    return found
