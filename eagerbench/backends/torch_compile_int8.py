"""torch.compile of a graph that torchao has quantised (PT2E): int8 products by oneDNN or by inductor's C++ template."""

import platform

from eagerbench.backends.base import Backend, Engagement, Runs, Variant
from eagerbench.backends.bf16 import has_flags
from eagerbench.backends.torch_compile import BACKEND as TORCH_COMPILE
from eagerbench.backends.torch_compile_autotune import AUTOTUNE, no_tiles, templates

_DYNAMIC = "dynamic_activations"


class TorchCompileInt8(Backend):
    """Exported, quantised by `X86InductorQuantizer`, compiled with freezing for one shape at a time.

    Weights have one scale a row. Activations have one a tensor: calibrated, or found again at each call (`-dynamic`).
    Source: https://docs.pytorch.org/ao/stable/pt2e_quantization/pt2e_quant_x86_inductor.html
    """

    variants = (
        Variant("torch-compile-int8", "quantised", "int8", {"freezing": True, _DYNAMIC: False}, Runs.WHEN_NAMED),
        Variant("torch-compile-int8-dynamic", "quantised", "int8", {"freezing": True, _DYNAMIC: True}, Runs.WHEN_NAMED),
        Variant("torch-compile-autotune-int8", "quantised", "int8", {**AUTOTUNE, _DYNAMIC: False}, Runs.WHEN_NAMED),
    )
    packages = ("torchao", "torch", "transformers")
    devices = ("cpu",)
    per_workload = True
    costly = True
    install = "pip install -e '.[torchao]'"

    def unavailable(self, variant, device):
        reason = super().unavailable(variant, device)
        if reason is None and platform.machine() not in ("x86_64", "AMD64"):
            reason = f"torchao quantises for oneDNN on x86, not on {platform.machine()}"
        reason = reason or TORCH_COMPILE.unavailable(TORCH_COMPILE.variants[0], device)
        return reason or (no_tiles("amx_int8") if "max_autotune" in variant.options else None)

    def build(self, variant, model, example, placement):
        from torch._inductor.compile_fx import compile_fx

        options = {name: value for name, value in variant.options.items() if name != _DYNAMIC}
        return _runner(variant, model, example, placement, compile_fx, options)

    def build_disengaged(self, variant, model, example, placement):
        """The quantised graph as it is, values widened again before every product; for `-autotune` no tuning."""
        if "max_autotune" in variant.options:
            return self.build(self.variants[0], model, example, placement)
        return _runner(variant, model, example, placement, lambda graph, inputs: graph.forward)

    def probe(self, variant, runner, inputs):
        """Engaged when inductor compiled one graph, whose weights are multiplied in int8 all of them."""
        from eagerbench.backends.torch_runner import profiled_operators

        compiled = TORCH_COMPILE.probe(TORCH_COMPILE.variants[0], runner, inputs)
        operators = profiled_operators(runner, inputs)
        products = operators["onednn::qlinear_pointwise"]
        floats = compiled.facts["unpacked_products"] + sum(
            calls for name, calls in operators.items() if name.endswith(("::_linear_pointwise", "::_mkl_linear")))
        tuned = templates(runner)
        layers = getattr(runner, "layers", 0)  # of a float32 build none
        facts = {**compiled.facts, **tuned.facts, "quantised_layers": layers, "int8_products": products,
                 "float_products": floats}
        engaged = compiled.engaged and 0 < layers <= products + runner.templates and not floats
        summary = f"{products} int8 products by oneDNN for {layers} int8 weights, {floats} in float32"
        if "max_autotune" in variant.options:
            engaged, summary = engaged and tuned.engaged, f"{tuned.summary}, {summary}"
        return Engagement(engaged, f"{summary}; {compiled.summary}", facts)


def _runner(variant, model, example, placement, compile_graph, options=None):
    """A `CompiledRunner` with `layers`, how many linear layers one call of the reference has."""
    import torch

    from eagerbench.backends.compiled_runner import CompiledRunner
    from eagerbench.backends.exporting import Called, quantised
    from eagerbench.backends.int8_linears import require_linears_only, require_weights_in_linears
    from eagerbench.backends.products import called, products
    from eagerbench.backends.torch_runner import TorchRunner

    require_linears_only(model.module, "X86InductorQuantizer")
    require_weights_in_linears(model, example, "X86InductorQuantizer")
    module = model.fresh()
    eager = TorchRunner(module, model.device)
    native = eager.prepare(example)
    layers = called(module, lambda part: type(part) is torch.nn.Linear, lambda: eager(native))
    dynamic = variant.options[_DYNAMIC]
    graph = quantised(model, quantizer(dynamic), calibrated=not dynamic)
    runner = CompiledRunner(Called(graph), example, placement.device, compile_graph, options)
    runner.layers = layers
    runner.products = products(module, lambda: eager(native))  # the reference's: weights of the graph are int8
    return runner


def quantizer(dynamic: bool):
    """torchao's for oneDNN, activations in 7 bits where the processor's int8 product would overflow."""
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    narrow = not has_flags("avx512_vnni") and not has_flags("avx_vnni")
    return X86InductorQuantizer().set_global(
        get_default_x86_inductor_quantization_config(is_dynamic=dynamic, reduce_range=narrow))


BACKEND = TorchCompileInt8()
