"""ONNX Runtime on what the `torch.export`-based exporter writes: attention as ONNX's own operator."""

import json

from eagerbench.backends.base import Placement, Variant
from eagerbench.backends.onnx_backend import NODES, SessionBackend
from eagerbench.errors import Refused


class OnnxRuntimeDynamo(SessionBackend):
    """The exporter that PyTorch recommends, from SDPA."""

    variants = (Variant("onnxruntime-dynamo", "exact-math", options={"exporter": "dynamo"}),)
    packages = (*SessionBackend.packages, "onnxscript")
    costly = True

    def export(self, variant, model, example, directory):
        saved_s = super().export(variant, model, example, directory)
        if "Attention" not in json.loads((directory / NODES).read_text())["exported"]:
            raise Refused("no Attention operator in this export: the model does not call "
                          "scaled_dot_product_attention, or not in a form that the operator has")
        runner = self.load(variant, directory, Placement())
        runner(runner.prepare(example))  # some exports load and do not run: RotaryEmbedding wants a cache a row
        return saved_s

    def probe(self, variant, runner, inputs):
        """Engaged when every Attention operator of the export ran as one kernel."""
        seen = self.seen(variant, runner, inputs)
        parts = [self.attention(seen), *seen.fused_names]
        whole = runner.nodes["exported"].get("Attention", 0)
        return self.engagement(seen.as_asked and seen.executed["Attention"] == whole > 0, parts, seen)


BACKEND = OnnxRuntimeDynamo()
