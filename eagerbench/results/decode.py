"""From the `extra_info` of a benchmark to its typed record, whatever version wrote it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import older
from eagerbench.results.record import Record


def decode(info: Mapping[str, Any]) -> Record:
    """The record in `info`.

    Raises:
        BadRecord: it is no record of this suite's: a field is missing, misspelt or of the wrong kind.
    """
    try:
        name = info.get("experiment", older.BEFORE["experiment"]) if older.is_flat(info) else _experiment(info)
        if not isinstance(name, str) or name not in EXPERIMENTS:
            raise BadRecord(f"unknown experiment {name!r}: a newer version may know it")
        record_type = EXPERIMENTS[name].record
        return msgspec.convert(older.nested(info, record_type) if older.is_flat(info) else dict(info), record_type)
    except msgspec.ValidationError as error:
        raise BadRecord(str(error)) from None


class BadRecord(ValueError):
    """A record that cannot be read; the text names the place."""


def _experiment(info: Mapping[str, Any]) -> Any:
    identity = info["identity"]
    return identity.get("experiment") if isinstance(identity, Mapping) else None
