"""ONNX Runtime in int8 otherwise than by dynamic quantisation of the plain export: calibrated, and with attention
quantised as one operator."""

import tempfile
from pathlib import Path

from eagerbench.backends.base import Runs, Variant
from eagerbench.backends.onnx_backend import FILE, SessionBackend, require_the_same
from eagerbench.errors import Refused

_RANGE_FOUND = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul")  # operators that look for a range in every call


class OnnxRuntimeInt8(SessionBackend):
    """From the TorchScript-based exporter, as `onnxruntime-int8`.

    Sources: those of `onnx_convert.quantise_static` and `onnx_convert.fuse`; QAttention:
    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QAttention
    """

    variants = (
        Variant("onnxruntime-static-int8", "quantised", "int8", {"step": "quantise_static"}, runs=Runs.WHEN_NAMED),
        Variant("onnxruntime-int8-qattention", "quantised", "int8", {"step": "quantise_fused"}, runs=Runs.WHEN_NAMED),
    )
    devices = ("cpu",)
    costly = True

    def export(self, variant, model, example, directory):
        if variant.options["step"] == "quantise_static":
            return super().export(variant, model, example, directory)
        from eagerbench.backends import onnx_convert, onnx_export

        shared = onnx_export.shared_export(model, example)
        with tempfile.TemporaryDirectory(prefix="onnx-fused-") as scratch:
            fused = Path(scratch) / FILE
            onnx_convert.fuse(shared.file, fused, model)
            if not onnx_export.node_counts(fused).get("Attention"):
                raise Refused("ONNX Runtime's transformers optimizer fuses no attention block of this export: there is "
                              "nothing to make a QAttention of")
            require_the_same(shared.file, fused, example, type(model.module).__name__)
            onnx_convert.quantise(fused, directory / FILE, model)
        self.write_nodes(shared, directory)
        return shared.saved_s

    def cannot_generate(self, variant, cache):
        if cache == "dynamic":
            return "quantised without past key values: it generates without a cache only"
        return super().cannot_generate(variant, cache)

    def probe(self, variant, runner, inputs):
        """Static: engaged when most products with a weight ran in int8, and no operator looked for a range in the call.
        QAttention: when every attention block ran as one, and no product with a weight in float32."""
        seen = self.seen(variant, runner, inputs)
        weighted = sum(runner.nodes.get("weighted_exported", {}).values())
        ranges = sum(seen.executed[name] for name in _RANGE_FOUND)
        seen.facts.update(quantised_matmuls=seen.quantised, float_matmuls=len(seen.products),
                          weighted_products=weighted, ranges_found_in_call=ranges)
        if variant.options["step"] == "quantise_static":
            parts = [f"{seen.quantised} of {weighted} products with a weight in int8",
                     f"{ranges} ranges of activations found in the call"]
            return self.engagement(seen.as_asked and 2 * seen.quantised > weighted and not ranges, parts, seen)
        whole, left = seen.executed["QAttention"], seen.executed["Attention"] + seen.executed["Softmax"]
        seen.facts.update(quantised_attention=whole, softmax_left=left)
        parts = [f"{whole} QAttention of {whole + left} attention blocks",
                 f"{seen.quantised - whole} other quantised MatMuls, {len(seen.products)} in float32"]
        return self.engagement(seen.as_asked and whole > 0 and not left, parts, seen)


BACKEND = OnnxRuntimeInt8()
