"""ONNX Runtime on NVIDIA GPUs beyond float32 on its CUDA provider: TensorRT, and float16."""

from eagerbench.backends.base import Variant
from eagerbench.backends.onnx_backend import SessionBackend


class OnnxRuntimeGpu(SessionBackend):
    """`onnxruntime` and `onnxruntime-fused` run on CUDA too; these run nowhere else.

    Sources: https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html,
    https://onnxruntime.ai/docs/performance/model-optimizations/float16.html
    """

    variants = (
        # TensorRT multiplies float32 in TF32 (10 bits of mantissa), and its provider has no option against it.
        Variant("onnxruntime-tensorrt", "half-precision", options={"provider": "TensorrtExecutionProvider"}),
        Variant("onnxruntime-fp16", "half-precision", "float16", {"step": "halve"}),
    )
    devices = ("cuda",)

    def probe(self, variant, runner, inputs):
        seen = self.seen(variant, runner, inputs)
        if variant.dtype == "float16":
            half = sum(dtype == "float16" for _, dtype in seen.products)
            seen.facts["float16_products"] = half
            parts = [f"{half} of {len(seen.products)} matrix products in float16", self.attention(seen)]
            return self.engagement(seen.as_asked and half == len(seen.products) > 0, parts, seen)
        own = self.provider(variant, runner.device)
        engines = sum(name.startswith("TRTKernel") for name in seen.executed)
        seen.facts["engines"] = engines
        return self.engagement(seen.as_asked and engines > 0, [f"{engines} engines of {own}"], seen)


BACKEND = OnnxRuntimeGpu()
