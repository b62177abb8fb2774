"""Machines of one kind: what keeps ratios apart, and what may move on a machine that stays itself.

A kind is hardware and the settings of measuring. Nothing in it names a host. What moves with an update (kernel,
interpreter, packages, driver, size of memory as the kernel counts it) is kept beside it: a candidate cause of a change.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from eagerbench.results import fingerprint

_MOVES = ("memory", "kernel", "Python", "Python implementation", "Python compiler", "BLAS", "GPU driver")
NEEDED = ("CPU", "cores", "architecture", "system")  # without them nothing says that two runs are of one machine
# What kernels of the backends are written for, as py-cpuinfo names them. All flags would make another machine of each
# new kernel, which lists more of them.
_SETS = ("avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16",
         "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2")
_OTHER_NAMES = {"avx512vnni": "avx512_vnni", "avx512bf16": "avx512_bf16", "avx512fp16": "avx512_fp16"}
_CPU_FLAGS, _SET_FIELD = "CPU flags", "instruction sets"


def hardware(machine_info: Any) -> dict[str, str]:
    """What makes a kind of machine: a text for each fact, instruction sets among them in place of all flags."""
    found = fingerprint.of(machine_info)
    kept = {name: value for name, value in found.items() if name not in (*_MOVES, _CPU_FLAGS, *fingerprint.PACKAGES)}
    sets = instruction_sets(machine_info)
    return {**kept, **({_SET_FIELD: " ".join(sets)} if sets else {})}


def software(machine_info: Any) -> dict[str, str]:
    """What may move on a machine: a text for each fact, every package whose version was recorded among them."""
    found = fingerprint.of(machine_info)
    kept = {name: value for name, value in found.items() if name in _MOVES}
    packages = machine_info.get("packages") if isinstance(machine_info, Mapping) else None
    versions = packages if isinstance(packages, Mapping) else {}
    return kept | {str(name): value for name, value in versions.items() if isinstance(value, str) and value}


def instruction_sets(machine_info: Any) -> list[str]:
    """Those that matter to the backends, in the order of their age; empty where the file lists no flags."""
    cpu = machine_info.get("cpu") if isinstance(machine_info, Mapping) else None
    flags = cpu.get("flags") if isinstance(cpu, Mapping) else None
    seen = {_OTHER_NAMES.get(flag, flag) for flag in flags if isinstance(flag, str)} if isinstance(flags, list) else ()
    return [name for name in _SETS if name in seen]


def sets_of(kind_of_machine: Mapping[str, str]) -> list[str]:
    """Instruction sets in what `hardware` gave."""
    return kind_of_machine.get(_SET_FIELD, "").split()


def unknown(kind_of_machine: Mapping[str, str]) -> list[str]:
    """Facts that it lacks to be told from other machines."""
    return [name for name in NEEDED if name not in kind_of_machine]


def digest(kind_of_machine: Mapping[str, str]) -> str:
    """Eight hexadecimal digits of a kind: its short name."""
    text = json.dumps(dict(kind_of_machine), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def title(kind_of_machine: Mapping[str, str]) -> str:
    """`AMD EPYC 9V74 · 2 cores · 1 thread · NVIDIA H100`."""
    cores = kind_of_machine.get("usable cores") or kind_of_machine.get("cores")
    threads = kind_of_machine.get("threads")
    parts = (kind_of_machine.get("CPU"), cores and f"{cores} {'core' if cores == '1' else 'cores'}",
             threads and f"{threads} {'thread' if threads == '1' else 'threads'}", kind_of_machine.get("GPU"))
    return " · ".join(part for part in parts if part)


def differing(kinds: Iterable[Mapping[str, str]]) -> list[str]:
    """Facts that are not the same in all of them."""
    kinds = list(kinds)
    names = dict.fromkeys(name for one in kinds for name in one)
    return [name for name in names if len({one.get(name) for one in kinds}) > 1]
