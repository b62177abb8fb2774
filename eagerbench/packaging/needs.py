"""What a machine must have to run a package: instructions, memory, architecture."""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from eagerbench.backends.base import Variant
from eagerbench.packaging.manifest import Needs

# By the dtype of the products: of each list one is enough. As /proc/cpuinfo names them, on x86 and on Arm.
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
_INT8 = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
# What a compiler told to build for this processor may use.
_COMPILED = ("sse4_2", "avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "avx512f", "avx512bw", "avx512cd", "avx512dq",
             "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx512_vbmi2", "amx_bf16", "amx_int8", "asimd",
             "asimddp", "sve", "sve2", "bf16", "i8mm")
_BESIDE_WEIGHTS = 300 * 2**20  # of an interpreter with a runtime and activations of a small batch
_MIB = 2**20


def needs(variant: Variant, runtime: str, flags: set[str], weights_bytes: int, peak_bytes: int | None) -> Needs:
    """
    Args:
        flags: of this processor, where outputs and times were taken: what it has not, it cannot have used.
        weights_bytes: of the artifact.
        peak_bytes: peak resident memory of the record; None without one, and three times the weights are assumed.
    """
    compiled = runtime == "aot-inductor"
    sets = [[name] for name in _COMPILED if compiled and name in flags]
    alternatives = {"bfloat16": _BFLOAT16, "int8": _INT8}.get(variant.dtype, ())
    if not compiled and flags & set(alternatives):
        sets.append([name for name in alternatives if _of_this_machine(name)])
    estimate = 3 * weights_bytes + _BESIDE_WEIGHTS
    least = peak_bytes or -(-estimate // _MIB) * _MIB
    return Needs(instruction_sets=sets, memory_bytes=least, memory_is="measured" if peak_bytes else "estimated",
                 machine=platform.machine() if compiled else None, python=(3, 11))


def processor_flags() -> set[str]:
    """As Linux names them; none elsewhere."""
    file = Path("/proc/cpuinfo")
    if sys.platform != "linux" or not file.is_file():
        return set()
    lines = [line for line in file.read_text().splitlines() if line.startswith(("flags", "Features"))]
    return set(lines[0].partition(":")[2].split()) if lines else set()


def _of_this_machine(name: str) -> bool:
    return name.startswith(("avx", "amx")) == (platform.machine() in ("x86_64", "AMD64"))


def names(sets: Sequence[Sequence[str]]) -> str:
    """`avx2, avx512_bf16 or amx_bf16`."""
    return ", ".join(" or ".join(one) for one in sets) or "none beyond those of the runtime"
