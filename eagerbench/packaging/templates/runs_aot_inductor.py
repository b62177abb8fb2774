import numpy as np
from verify import HERE, MANIFEST, NAMES, SESSION


class Session:
    """AOTInductor's package by its C++ loader: torch's Python one probes a compiler first, for seconds."""

    def __init__(self):
        import torch

        self.torch = torch
        torch.set_num_threads(SESSION["threads"])
        file = str(HERE / MANIFEST["artifact"])
        self.loader = torch._C._aoti.AOTIModelPackageLoader(file, "model", False, 1, -1)

    def native(self, inputs):
        return [self.torch.from_numpy(inputs[one["name"]]) for one in MANIFEST["inputs"]]

    def run(self, native):
        with self.torch.inference_mode():
            return self.loader.boxed_run(list(native))

    def arrays(self, outputs):
        return {name: np.asarray(value.float()) for name, value in zip(NAMES, outputs, strict=True)}
