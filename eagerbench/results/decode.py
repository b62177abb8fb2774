"""From the `extra_info` of a benchmark to its typed record, whatever version wrote it."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from eagerbench import jsonfile
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import older
from eagerbench.results.record import Record
from eagerbench.shown import one_line

_LONGEST = 100  # of what a message quotes
# What msgspec says, and the same in plain words; the place stands in front.
_PLAIN = ((r"Object missing required field `(?P<field>.*)`", "missing"),
          (r"Object contains unknown field `(?P<field>.*)`", "no such field: misspelt, or of a newer version"),
          (r"Invalid enum value (.*)", r"\1 is not one of its values"),
          (r"Expected (.*)", r"expected \1"))


def decode(info: Mapping[str, Any]) -> Record:
    """The record in `info`.

    Raises:
        BadRecord: it is no record of this suite's: a field is missing, misspelt or of the wrong kind, or holds a number
            that cannot be used.
    """
    try:
        for problem in jsonfile.number_problems(info):
            raise BadRecord(_short(problem))
        name = _experiment(info)
        if not isinstance(name, str) or name not in EXPERIMENTS:
            raise BadRecord(f"unknown experiment {_short(repr(name))}: a newer version may know it")
        record_type = EXPERIMENTS[name].record
        return msgspec.convert(older.nested(info, record_type) if older.is_flat(info) else info, record_type)
    except msgspec.ValidationError as error:
        raise BadRecord(in_plain_words(str(error))) from None
    except UnicodeError:
        raise BadRecord("a text or a name in it is no Unicode text (half of a character)") from None


class BadRecord(ValueError):
    """A record that cannot be read; the text, one line, names the place."""


def _experiment(info: Mapping[str, Any]) -> Any:
    identity = info if older.is_flat(info) else info.get("identity")
    if not isinstance(identity, Mapping):
        raise BadRecord("identity: expected object")
    if older.is_flat(info):
        identity = {**older.BEFORE, **identity}
    if "experiment" not in identity:
        raise BadRecord("identity.experiment: missing")
    return identity["experiment"]


def in_plain_words(said: str) -> str:
    """`identity.seed: expected int, got str` of ``Expected `int`, got `str` - at `$.identity.seed` ``."""
    said, _, place = said.rpartition(" - at `$") if re.search(r" - at `\$[^`]*`$", said) else (said, "", "")
    places = [place.strip(".`")] if place.strip(".`") else []
    for pattern, words in _PLAIN:
        match = re.fullmatch(pattern, said, re.DOTALL)
        if match:
            places += [match["field"]] if "field" in match.groupdict() else []
            said = match.expand(words)
            break
    return ": ".join(filter(None, [_short(".".join(places)), _short(said.replace("`", ""))]))


def _short(text: str) -> str:
    text = one_line(text[:10 * _LONGEST])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST - 1]}…"
