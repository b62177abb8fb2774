"""What the interpreter has and whether it sees a GPU, as one line of JSON: asked in a process of its own, so that the
script itself never holds a GPU."""

import importlib
import importlib.metadata
import importlib.util
import json
import platform
import sys

REQUIRED = {"torch": "torch", "transformers": "transformers", "pytest": "pytest",
            "pytest_benchmark": "pytest-benchmark", "numpy": "numpy", "scipy": "scipy", "psutil": "psutil",
            "rich": "rich", "jinja2": "jinja2", "cpuinfo": "py-cpuinfo", "msgspec": "msgspec",
            "safetensors": "safetensors"}
OPTIONAL = ("accelerate", "bitsandbytes", "onnx", "onnxruntime", "pynvml")


def inspect() -> dict:
    lacking = [name for module, name in REQUIRED.items() if importlib.util.find_spec(module) is None]
    found = {"python": platform.python_version(), "lacking": lacking, "packages": {}, "onnx_providers": [],
             "torch": "", "gpu": None}
    for module in OPTIONAL:
        if importlib.util.find_spec(module) is not None:
            found["packages"][module] = _version(module)
    if lacking:
        return found
    import torch

    found["torch"] = torch.__version__
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(0)
    if "onnxruntime" in found["packages"]:
        found["onnx_providers"] = importlib.import_module("onnxruntime").get_available_providers()
    return found


def _version(module: str) -> str:
    for name in importlib.metadata.packages_distributions().get(module, [module]):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "of unknown version"


if __name__ == "__main__":
    json.dump(inspect(), sys.stdout)
