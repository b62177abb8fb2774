"""ONNX Runtime, called from C++."""

import json
import tempfile
from pathlib import Path
from typing import Any

from eagerbench.backends import onnx_backend, onnxruntime
from eagerbench.backends.base import Variant
from eagerbench.backends.cpp_runner import CppBackend, CppRunner


class OnnxRuntimeInCpp(CppRunner):
    """What the probe of ONNX Runtime asks a runner; `nodes` as that of `SessionRunner`."""

    nodes: dict[str, dict[str, int]]

    @property
    def level(self) -> str:
        """As the session was made with: ONNX Runtime does not give it back in C++."""
        return str(self._config["level"])

    def profiled_nodes(self, inputs) -> list[dict[str, Any]]:
        """Each node that ran in one call, from the profile of a second process with the same settings."""
        with tempfile.TemporaryDirectory() as scratch:
            process = self.another(profile=Path(scratch) / "profile")
            process.call(process.prepare(inputs).number)
            events = json.loads(Path(process.facts()[0]["profile"]).read_text())
        return [event["args"] for event in events if event.get("name", "").endswith("_kernel_time")]


class OnnxRuntimeCpp(CppBackend):
    """`Ort::Session::Run` on values that hold the inputs.

    Source: https://onnxruntime.ai/docs/get-started/with-cpp.html
    """

    variants = (
        Variant("onnxruntime-cpp", "exact-math"),
        Variant("onnxruntime-int8-cpp", "quantised", "int8"),
    )
    python = onnxruntime.BACKEND
    runtime = "onnxruntime"

    def load(self, variant, directory, placement):
        runner = OnnxRuntimeInCpp(variant.name, self.runtime, {
            "artifact": directory / onnx_backend.FILE, "threads": placement.threads, "level": "all"})
        runner.nodes = json.loads((directory / onnx_backend.NODES).read_text())
        return runner


BACKEND = OnnxRuntimeCpp()
