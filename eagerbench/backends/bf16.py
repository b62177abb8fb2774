"""Whether PyTorch's matrix products in bf16 are fast on this processor."""

import platform
from functools import cache

import torch


@cache
def unavailable() -> str | None:
    """Why float32 is the narrowest dtype with fast matrix products on this processor; None when bf16 has them.

    `torch.ops.mkldnn._is_mkldnn_bf16_supported` is what torch's own matrix product asks before it takes oneDNN; on
    x86 oneDNN also says yes where it can only emulate the instructions.
    """
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return ("oneDNN has no bf16 matrix product for this processor (needs AVX-512 or newer); "
                "PyTorch would run a slow fallback under the same name")
    if platform.machine() in ("x86_64", "AMD64") and not torch.cpu._is_avx512_bf16_supported():
        return ("this processor has no bf16 instructions (AVX512_BF16 or AMX); oneDNN would emulate them under the "
                "same name, slower than float32")
    return None
