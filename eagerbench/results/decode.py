"""From the `extra_info` of a benchmark to its typed record, whatever version wrote it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from eagerbench import jsonfile
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import older
from eagerbench.results.bad_record import BadRecord, in_plain_words, short
from eagerbench.results.record import Record


def decode(info: Mapping[str, Any]) -> Record:
    """The record in `info`.

    Raises:
        BadRecord: it is no record of this suite's: a field is missing, misspelt or of the wrong kind, or holds a number
            that cannot be used.
    """
    try:
        for problem in jsonfile.number_problems(info):
            raise BadRecord(short(problem))
        name = _experiment(info)
        if not isinstance(name, str) or name not in EXPERIMENTS:
            raise BadRecord(f"unknown experiment {short(repr(name))}: a newer version may know it")
        record_type = EXPERIMENTS[name].record
        return msgspec.convert(older.nested(info, record_type) if older.is_flat(info) else info, record_type)
    except msgspec.ValidationError as error:
        raise BadRecord(in_plain_words(str(error))) from None
    except UnicodeError:
        raise BadRecord("a text or a name in it is no Unicode text (half of a character)") from None


def _experiment(info: Mapping[str, Any]) -> Any:
    identity = info if older.is_flat(info) else info.get("identity")
    if not isinstance(identity, Mapping):
        raise BadRecord("identity: expected object")
    if older.is_flat(info):
        identity = {**older.BEFORE, **identity}
    if "experiment" not in identity:
        raise BadRecord("identity.experiment: missing")
    return identity["experiment"]
