"""Step (a): the GPU, its driver and torch, its clocks, and the fastest matrix product of each dtype."""

import json
import sys
from pathlib import Path

DTYPES = ("float32", "tf32", "bfloat16", "float16")


def facts(device: str = "cuda:0") -> dict:
    """JSON: names, sizes in bytes, `before` and `after` the products as NVML says, `peak_flops_per_s` by dtype."""
    import torch

    from eagerbench.machine import facts as machine
    from eagerbench.machine import gpu_facts

    found = torch.cuda.get_device_properties(device)
    nvml = gpu_facts.of(device)
    before = nvml.read()
    peaks = {dtype: machine.peak_flops(dtype, device, torch.get_num_threads()) for dtype in DTYPES}
    return {
        "gpu": found.name, "compute_capability": f"{found.major}.{found.minor}", "memory_bytes": found.total_memory,
        "multiprocessors": found.multi_processor_count, "torch": torch.__version__, "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(), "nvml_missing": nvml.missing, **nvml.static(), "before": before,
        "after": nvml.read(), "peak_flops_per_s": peaks,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(facts(), indent=1))
