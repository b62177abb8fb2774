import numpy as np
from verify import HERE, MANIFEST, NAMES, SESSION


class Session:
    """TorchScript, opened as measured. `run` is the call that was timed: outputs as the module returns them."""

    def __init__(self):
        import torch

        self.torch, wanted = torch, SESSION["settings"]
        torch.set_num_threads(SESSION["threads"])
        usual = torch.backends.quantized.engine
        torch.backends.quantized.engine = wanted["quantized_engine"] or usual  # packs weights while they are loaded
        module = torch.jit.load(HERE / MANIFEST["artifact"], map_location="cpu")
        torch.backends.quantized.engine = usual
        self.module = torch.jit.optimize_for_inference(module) if wanted["optimize_for_inference"] else module
        self.order = [entry.name for entry in module.forward.schema.arguments[1:]] if wanted["positional"] else None

    def native(self, inputs):
        named = {name: self.torch.from_numpy(array) for name, array in inputs.items()}
        return tuple(named[name] for name in self.order) if self.order else named

    def run(self, native):
        with self.torch.inference_mode():
            return self.module(*native) if self.order else self.module(**native)

    def arrays(self, outputs):
        found = outputs if isinstance(outputs, dict) else dict(zip(NAMES, outputs if isinstance(outputs, tuple) else [
            outputs], strict=True))
        return {name: np.asarray(found[name].float()) for name in NAMES}
