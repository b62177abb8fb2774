import sys
import time

import numpy as np
from build import build
from verify import NAMES, SESSION, shipped


class Session:
    """Built by PyTorch and transformers whenever it starts, and called once. `run` is the call that was timed."""

    def __init__(self):
        import torch

        self.torch, began = torch, time.perf_counter()
        torch.set_num_threads(SESSION["threads"])
        with torch.inference_mode():
            self.module = build(torch, self.native(shipped("inputs")))
            self.run(self.native(shipped("inputs")))
        print(f"built in {time.perf_counter() - began:.1f} s", file=sys.stderr)

    def native(self, inputs):
        wide = getattr(self.torch, SESSION["settings"]["dtype"])
        return {name: self.torch.from_numpy(array).to(wide if array.dtype.kind == "f" else None)
                for name, array in inputs.items()}

    def run(self, native):
        with self.torch.inference_mode():
            return self.module(**native)

    def arrays(self, outputs):
        found = outputs if hasattr(outputs, "keys") else dict(zip(NAMES, outputs, strict=True))
        return {name: np.asarray(found[name].float()) for name in NAMES}
