"""ONNX Runtime: as exported, at each optimisation level; after its transformers optimizer; dynamically quantised."""

from eagerbench.backends.base import Runs, Variant
from eagerbench.backends.onnx_backend import SessionBackend


class OnnxRuntime(SessionBackend):
    """From the TorchScript-based exporter.

    Sources: https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html, and those of the
    steps in `onnx_convert`.
    """

    variants = (
        Variant("onnxruntime", "exact-math", runs=Runs.IN_EVERY_EXPERIMENT),
        Variant("onnxruntime-basic", "exact-math", options={"level": "basic"}, runs=Runs.AT_ONE_SHAPE),
        Variant("onnxruntime-unoptimised", "exact-math", options={"level": "none"}, runs=Runs.AT_ONE_SHAPE),
        Variant("onnxruntime-fused", "exact-math", options={"step": "fuse"}),
        Variant("onnxruntime-int8", "quantised", "int8", {"step": "quantise"}, Runs.IN_EVERY_EXPERIMENT),
    )

    def unavailable(self, variant, device):
        if variant.dtype == "int8" and device.startswith("cuda"):
            return "ONNX Runtime has dynamic int8 quantisation for the CPU only"
        return super().unavailable(variant, device)

    def build_disengaged(self, variant, model, example, placement):
        """For a level, another level; for a step, the plain export with all graph optimisations."""
        level = "none" if variant.name in ("onnxruntime", "onnxruntime-basic") else "all"
        return self.plain(model, example, placement, level)

    def probe(self, variant, runner, inputs):
        seen = self.seen(variant, runner, inputs)
        if variant.options.get("step") == "fuse":
            by_optimizer = sum(count for name, count in runner.nodes["saved"].items()
                               if name not in runner.nodes["exported"])
            seen.facts["fused_by_optimizer"] = by_optimizer
            parts = [self.attention(seen), *seen.fused_names]
            return self.engagement(seen.as_asked and by_optimizer > 0, parts, seen)
        if variant.options.get("step") == "quantise":
            quantised, kept = seen.quantised, len(seen.products)
            could = sum(runner.nodes.get("weighted", {}).values())  # what is left of them; activations stay in float32
            seen.facts.update(quantised_matmuls=quantised, float_matmuls=kept)
            parts = [f"{quantised} quantised MatMuls, {kept} in float32"]
            return self.engagement(seen.as_asked and quantised > could, parts, seen)
        if "level" not in variant.options:
            return self.engagement(seen.as_asked, seen.fused_names, seen)
        exported = sum(count for name, count in runner.nodes["exported"].items() if name != "Constant")
        parts = [f"{seen.facts['nodes']} of {exported} nodes ran", *seen.fused_names]
        return self.engagement(seen.as_asked and not seen.fused, parts, seen)


BACKEND = OnnxRuntime()
