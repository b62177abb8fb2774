"""Which machine a file was measured on, as far as times depend on it."""

import hashlib
import json
from typing import Any

# Field of the fingerprint -> where `machine_info` has it. A field that no file recorded is left out, not guessed.
_PLACES = {
    "CPU": "cpu.brand_raw",
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
    "threads": "threads",
    "allocator": "allocator",
    "wait policy": "wait_policy",
    "BLAS": "blas",
    "GPU": "gpus",
    "GPU driver": "gpu_driver",
}
_PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "openvino", "transformers", "numpy")


def of(machine_info: Any) -> dict[str, str]:
    """The fingerprint: a text for each field that `machine_info` (as pytest-benchmark writes it) has."""
    found = {name: _text(value) for name, place in _PLACES.items()
             if (value := _at(machine_info, place)) not in (None, "", [], {})}
    return found | {package: _text(version) for package in _PACKAGES
                    if (version := _at(machine_info, f"packages.{package}")) not in (None, "")}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """`field: one → other` for each field that is not the same; a field that one of them lacks differs too."""
    return [f"{name}: {_short(one.get(name))} → {_short(other.get(name))}"
            for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]


def _at(content: Any, place: str) -> Any:
    for name in place.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _text(value: Any) -> str:
    """Long values (flags, build reports) by the start of their digest: only their equality matters."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) <= 100:
        return text
    count = f"{len(value)} entries, " if isinstance(value, list) else ""
    return f"{count}sha256 {hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


def _short(value: Any) -> str:
    return "not recorded" if value is None else str(value)
