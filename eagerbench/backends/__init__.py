"""The registry of backends: one module in this package and one line here for each. Tables keep this order."""

import importlib
from functools import cache

from eagerbench.backends.base import Backend, Variant

REGISTRY = (
    "eager",
    "bettertransformer",
    "optimum_bettertransformer",
    "torchscript",
    "torchscript_onednn",
    "torchscript_script",
    "torchscript_cpp",
    "ipex",
    "torch_compile",
    "torch_compile_dynamic",
    "torch_compile_autotune",
    "torch_compile_int8",
    "aot_inductor",
    "aot_inductor_cpp",
    "onnxruntime",
    "onnxruntime_int8",
    "onnxruntime_iobinding",
    "onnxruntime_genai",
    "onnxruntime_dynamo",
    "onnxruntime_gpu",
    "onnxruntime_openvino",
    "onnxruntime_cpp",
    "openvino_runtime",
    "openvino_throughput",
    "openvino_static",
    "openvino_weights",
    "openvino_genai",
    "openvino_cpp",
    "ctranslate2",
    "llama_cpp",
    "dynamic_int8",
    "dynamic_int8_torchscript",
    "torchao_int8",
    "bitsandbytes_quantised",
    "accelerate_placed",
    "sentence_transformers_encode",
    "executorch_xnnpack",
    "litert",
    "cuda",
    "cuda_kernels",
    "neuron",
)

REFERENCE = "eager"


@cache
def variants() -> dict[str, tuple[Variant, Backend]]:
    """Every variant by name, with its backend, in registry order."""
    found: dict[str, tuple[Variant, Backend]] = {}
    for module_name in REGISTRY:
        backend = importlib.import_module(f"{__name__}.{module_name}").BACKEND
        for variant in backend.variants:
            if variant.name in found:
                raise ValueError(f"two backends offer the variant {variant.name!r}")
            found[variant.name] = (variant, backend)
    return found
