"""Records of files saved before they were nested by topic: all fields side by side."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from eagerbench.case import DEFAULT
from eagerbench.results.record import KIND, SCHEMA_VERSION, Record

_OPEN = {"option_": ("identity", "options"), "engagement_": ("engagement", "facts")}  # fields that backends name
BEFORE = {"experiment": DEFAULT}  # a record from before there were others has no such field


def is_flat(info: Mapping[str, Any]) -> bool:
    return not isinstance(info.get("identity"), dict) and info.get("kind") != KIND


def topic(info: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What holds the fields of a topic: that part of a nested record, the whole of a flat one; nothing of neither."""
    part = info if is_flat(info) else info.get(name)
    return part if isinstance(part, dict) else {}


def with_fields(info: Mapping[str, Any], name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a record with these fields in one topic."""
    return {**info, **fields} if is_flat(info) else {**info, name: {**topic(info, name), **fields}}


def nested(info: Mapping[str, Any], record_type: type[Record]) -> dict[str, Any]:
    """The record of a flat one: each field in the topic whose type has it.

    A field that no topic has stays where it is, and is refused by name when the record is converted.
    """
    places = _places(record_type)
    found: dict[str, Any] = {topic: {} for topic in topics(record_type)}
    strange = {}
    for name, value in {**BEFORE, **info}.items():
        prefix = next((prefix for prefix in _OPEN if name.startswith(prefix)), None)
        if name in places:
            found[places[name]][name] = value
        elif prefix:
            topic, field = _OPEN[prefix]
            found[topic].setdefault(field, {})[name.removeprefix(prefix)] = value
        else:
            strange[name] = value
    if not found["gpu"]:
        found["gpu"] = None
    return {**found, "schema_version": SCHEMA_VERSION, "kind": KIND, **strange}


@cache
def topics(record_type: type[Record]) -> dict[str, type]:
    """Each topic's type, by its name."""
    found = {}
    for field in msgspec.inspect.type_info(record_type).fields:
        for kind in getattr(field.type, "types", (field.type,)):
            if isinstance(kind, msgspec.inspect.StructType):
                found[field.encode_name] = kind.cls
    return found


@cache
def _places(record_type: type[Record]) -> dict[str, str]:
    """The topic of each field, except those that are field by field in a flat record."""
    return {field.encode_name: topic for topic, part in topics(record_type).items()
            for field in msgspec.structs.fields(part) if (topic, field.encode_name) not in _OPEN.values()}


def fields(record_type: type[Record]) -> set[str]:
    """Names that `flat` gives, without those that backends name."""
    return set(_places(record_type))


def fields_of(info: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """What `flat` has under these names, of a nested record: none of them is a backend's own."""
    found: dict[str, Any] = {}
    for part in info.values():
        if isinstance(part, dict):
            found.update((name, part[name]) for name in part.keys() & names)
    return found


def flat(info: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a nested record side by side, as statements select them and comparisons look at them."""
    if is_flat(info):
        return {**BEFORE, **info}
    found: dict[str, Any] = {}
    for part in info.values():
        if isinstance(part, dict):
            found |= part
    for prefix, (_, name) in _OPEN.items():
        of_backend = found.pop(name, None)
        if isinstance(of_backend, dict):
            found |= {f"{prefix}{key}": value for key, value in of_backend.items()}
    return found
