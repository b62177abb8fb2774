"""Records that do not fit their types, and how that is said."""

import re
from typing import Any

import msgspec

from eagerbench import jsonfile
from eagerbench.results.record import Record, to_json
from eagerbench.shown import one_line

_LONGEST = 100  # of what a message quotes
# What msgspec says, and the same in plain words; the place stands in front.
_PLAIN = ((r"Object missing required field `(?P<field>.*)`", "missing"),
          (r"Object contains unknown field `(?P<field>.*)`", "no such field: misspelt, or of a newer version"),
          (r"Invalid enum value (.*)", r"\1 is not one of its values"),
          (r"Expected (.*)", r"expected \1"))


class BadRecord(ValueError):
    """A record that cannot be read; the text, one line, names the place."""


def checked(record: Record, record_type: type[Record]) -> dict[str, Any]:
    """A record as `extra_info` holds it. Types check values that are read, not those that a record is made of.

    Raises:
        BadRecord: a part of it is not what its type says, as a probe that found no words.
    """
    info = to_json(record)
    try:
        for problem in jsonfile.number_problems(info):
            raise BadRecord(f"what was measured makes no record: {short(problem)}")
        msgspec.convert(info, record_type)
    except msgspec.ValidationError as error:
        raise BadRecord(f"what was measured makes no record: {in_plain_words(str(error))}") from None
    return info


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
    return ": ".join(filter(None, [short(".".join(places)), short(said.replace("`", ""))]))


def short(text: str) -> str:
    text = one_line(text[:10 * _LONGEST])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST - 1]}…"
