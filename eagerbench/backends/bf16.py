"""Whether PyTorch's matrix products in bf16 are fast on this processor."""

import platform
import sys
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_NO_PRODUCT = ("oneDNN has no bf16 matrix product for this processor (needs AVX-512 or newer); "
               "PyTorch would run a slow fallback under the same name")
_EMULATED = ("this processor has no bf16 instructions (AVX512_BF16 or AMX); oneDNN would emulate them under the "
             "same name, slower than float32")


@cache
def unavailable() -> str | None:
    """Why float32 is the narrowest dtype with fast matrix products on this processor; None when bf16 has them.

    `torch.ops.mkldnn._is_mkldnn_bf16_supported` is what torch's own matrix product asks before it takes oneDNN; on
    x86 oneDNN also says yes where it can only emulate the instructions. Both ask the processor's flags, which Linux
    lists too: a list of cases needs no torch, whose import takes two seconds.
    """
    x86 = platform.machine() in ("x86_64", "AMD64")
    found = flags() if x86 and sys.platform == "linux" else None
    if found:
        return None if "avx512_bf16" in found else _EMULATED if "avx512bw" in found else _NO_PRODUCT
    import torch

    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return _NO_PRODUCT
    return _EMULATED if x86 and not torch.cpu._is_avx512_bf16_supported() else None


def has_flags(*names: str) -> bool:
    """Whether the processor lists all of these, by Linux's names; False where it lists none (not x86, not Linux)."""
    return set(names) <= flags()


def flags() -> frozenset[str]:
    """What the processor can do, as Linux names it. Of the first processor; none where the file does not say."""
    try:
        with _CPUINFO.open(encoding="utf-8", errors="replace") as lines:
            return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))
    except OSError:
        return frozenset()
