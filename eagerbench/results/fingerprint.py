"""The fingerprint of a machine: the facts that times depend on.

Two fingerprints are *the same* when no field differs and none is unknown. Unknown is a field of NEEDED that a file
lacks (without them nothing says that two machines are one), and any other field that one file has and another lacks (it
was saved before there was such a field, or by another suite). Unknown is not equal, and no proof of another machine
either: such files are compared, never judged.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

# Field of the fingerprint -> where `machine_info` has it; later places are those of older versions of py-cpuinfo.
_PLACES = {
    "CPU": "cpu.brand_raw cpu.brand",
    "CPU vendor": "cpu.vendor_id_raw cpu.vendor_id",
    "CPU architecture": "cpu.arch",
    "CPU bits": "cpu.bits",
    "CPU hardware": "cpu.hardware_raw cpu.hardware",
    "architecture": "machine",
    "processor": "processor",
    "CPU family": "cpu.family",
    "CPU model": "cpu.model",
    "CPU stepping": "cpu.stepping",
    "cores": "cpu.count",
    "usable cores": "usable_cores",
    "CPU flags": "cpu.flags",
    "L1 cache": "cpu.l1_data_cache_size",
    "L2 cache": "cpu.l2_cache_size",
    "L3 cache": "cpu.l3_cache_size",
    "memory": "memory_bytes",
    "CPU quota": "cpu_quota",
    "system": "system",
    "kernel": "release",
    "Python": "python_version",
    "Python implementation": "python_implementation",
    "Python compiler": "python_compiler",
    "threads": "threads",
    "allocator": "allocator",
    "wait policy": "wait_policy",
    "BLAS": "blas",
    "GPU": "gpus",
    "GPU driver": "gpu_driver",
}
# What pytest-benchmark records everywhere.
NEEDED = ("CPU", "cores", "architecture", "system", "kernel", "Python", "Python implementation")
_SAY_NOTHING = ("", "unknown", "n/a", "none")  # what tools write where they found nothing
_LACKS = "not recorded"
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "openvino", "transformers", "numpy")


def of(machine_info: Any) -> dict[str, str]:
    """The fingerprint: a text for each field that `machine_info` (as pytest-benchmark writes it) has."""
    try:
        key = msgspec.json.encode(machine_info)
    except (TypeError, ValueError, OverflowError, RecursionError):  # half of a character, a huge number
        return _of(machine_info)
    if b"null" in key:  # so it writes NaN, too
        return _of(machine_info)
    if key not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = _of(machine_info)
    return dict(_known[key])


_known: dict[bytes, dict[str, str]] = {}  # thousands of files are of few machines
_MOST_KNOWN = 256


def _of(machine_info: Any) -> dict[str, str]:
    found = {name: _text(_bytes(value) if name.endswith("cache") else value) for name, places in _PLACES.items()
             if (value := _first(machine_info, places.split())) is not None}
    return found | {package: _text(version) for package in PACKAGES
                    if (version := _at(machine_info, f"packages.{package}")) not in (None, "")}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """`field: one → other` for each field that is not the same in both, those that one of them lacks included."""
    return [f"{name}: {_short(one.get(name))} → {_short(other.get(name))}"
            for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]


def differ(machines: Iterable[dict[str, Any]]) -> bool:
    """Whether two of them have a field with two values."""
    values: dict[str, set[Any]] = {}
    for machine in machines:
        for name, value in machine.items():
            values.setdefault(name, set()).add(value)
    return any(len(seen) > 1 for seen in values.values())


def unknown(machines: Iterable[dict[str, Any]]) -> list[str]:
    """Fields that do not let these machines count as one, though nothing differs."""
    machines = list(machines)
    recorded = dict.fromkeys(name for machine in machines for name in machine)
    return [name for name in dict.fromkeys([*NEEDED, *recorded]) if any(name not in machine for machine in machines)]


def why_not_the_same(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What differs or is unknown; empty when both are the same machine."""
    lacking = [name for name in unknown([one, other]) if name not in one and name not in other]
    return [*differences(one, other), *(f"{name}: {_LACKS}" for name in lacking)]


def _at(content: Any, place: str) -> Any:
    for name in place.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _first(content: Any, places: list[str]) -> Any:
    """The first value that says something."""
    return next((value for place in places if (value := _at(content, place)) not in (None, "", [], {})
                 and not (isinstance(value, str) and value.strip().lower() in _SAY_NOTHING)), None)


def _bytes(size: Any) -> Any:
    """Of `256 KB`, as older versions of py-cpuinfo write it."""
    found = re.fullmatch(r"(\d{1,9}) ?([KMG]?)i?B?", size.strip()) if isinstance(size, str) else None
    return int(found[1]) * _UNITS[found[2]] if found else size


def _text(value: Any) -> str:
    """Long values (flags, build reports) by the start of their digest: only their equality matters."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) <= 100:
        return text
    count = f"{len(value)} entries, " if isinstance(value, list) else ""
    return f"{count}sha256 {hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


def _short(value: Any) -> str:
    return _LACKS if value is None else str(value)
