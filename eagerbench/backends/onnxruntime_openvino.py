"""ONNX Runtime on its OpenVINO execution provider.

Its wheel, onnxruntime-openvino, shares the import name of onnxruntime: it lives in an environment of its own.
"""

import importlib.metadata
import json

from eagerbench.backends.base import Engagement, Variant
from eagerbench.backends.onnx_backend import FILE, NODES, SessionBackend
from eagerbench.backends.onnx_session import SessionRunner

_WHEEL = "onnxruntime-openvino"
_PROVIDER = "OpenVINOExecutionProvider"


class OnnxRuntimeOpenVino(SessionBackend):
    """Source: https://onnxruntime.ai/docs/execution-providers/OpenVINO-ExecutionProvider.html"""

    variants = (Variant("onnxruntime-openvino", "exact-math", options={"provider": _PROVIDER}),)
    devices = ("cpu",)
    install = "make env-onnxruntime-openvino"

    def unavailable(self, variant, device):
        reason = super().unavailable(variant, device)
        if reason:
            return reason
        try:
            importlib.metadata.version(_WHEEL)
        except importlib.metadata.PackageNotFoundError:
            return f"not installed: {_WHEEL}, which replaces onnxruntime in an environment of its own ({self.install})"
        return None

    def load(self, variant, directory, placement):
        """OpenVINO's own settings go through `load_config`; the session's threads are those of the rest."""
        settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": "f32",
                    "INFERENCE_NUM_THREADS": str(placement.threads)}
        options = {"device_type": "CPU", "load_config": json.dumps({"CPU": settings})}
        nodes = json.loads((directory / NODES).read_text())
        return SessionRunner(directory / FILE, nodes, placement.device, placement.threads, provider=_PROVIDER,
                             provider_options=options)

    def probe(self, variant, runner, inputs):
        """Engaged when OpenVINO ran every node of the profile, as subgraphs."""
        providers = [node["provider"] for node in runner.profiled_nodes(inputs)]
        subgraphs = providers.count(_PROVIDER)
        elsewhere = len(providers) - subgraphs
        facts = {"providers": sorted(set(providers)), "level": runner.level, "subgraphs": subgraphs,
                 "nodes_elsewhere": elsewhere}
        return Engagement(subgraphs > 0 and not elsewhere,
                          f"{subgraphs} subgraphs by OpenVINO, {elsewhere} nodes by another provider", facts)


BACKEND = OnnxRuntimeOpenVino()
