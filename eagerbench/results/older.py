"""Records of files saved before they were nested by topic: all fields side by side."""

from collections.abc import Mapping
from typing import Any

import msgspec

from eagerbench.results.record import KIND, SCHEMA_VERSION, Record

_OPEN = {"option_": ("identity", "options"), "engagement_": ("engagement", "facts")}  # fields that backends name
BEFORE = {"experiment": "latency"}  # a record from before there were others has no such field


def is_flat(info: Mapping[str, Any]) -> bool:
    return "identity" not in info


def nested(info: Mapping[str, Any], record_type: type[Record]) -> dict[str, Any]:
    """The record of a flat one: each field in the topic whose type has it.

    A field that no topic has stays where it is, and is refused by name when the record is converted.
    """
    places = {field.encode_name: topic for topic, part in topics(record_type).items()
              for field in msgspec.structs.fields(part)}
    found: dict[str, Any] = {topic: {} for topic in topics(record_type)}
    for name, value in {**BEFORE, **info}.items():
        prefix = next((prefix for prefix in _OPEN if name.startswith(prefix)), None)
        if name in places:
            found[places[name]][name] = value
        elif prefix:
            topic, field = _OPEN[prefix]
            found[topic].setdefault(field, {})[name.removeprefix(prefix)] = value
        else:
            found[name] = value
    if not found["gpu"]:
        found["gpu"] = None
    return {**found, "schema_version": SCHEMA_VERSION, "kind": KIND}


def topics(record_type: type[Record]) -> dict[str, type]:
    """Each topic's type, by its name."""
    found = {}
    for field in msgspec.inspect.type_info(record_type).fields:
        for kind in getattr(field.type, "types", (field.type,)):
            if isinstance(kind, msgspec.inspect.StructType):
                found[field.encode_name] = kind.cls
    return found


def flat(info: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a nested record side by side, as statements select them and comparisons look at them."""
    if is_flat(info):
        return {**BEFORE, **info}
    found: dict[str, Any] = {}
    for topic, part in info.items():
        for name, value in part.items() if isinstance(part, Mapping) else ():
            prefix = next((prefix for prefix, place in _OPEN.items() if place == (topic, name)), None)
            if prefix and isinstance(value, Mapping):
                found |= {f"{prefix}{key}": one for key, one in value.items()}
            else:
                found[name] = value
    return found
