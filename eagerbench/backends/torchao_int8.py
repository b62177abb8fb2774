"""torchao: int8 weights and dynamic int8 activations, compiled by inductor with freezing for one shape at a time."""

from eagerbench.backends.base import Backend, BuiltBy, Engagement, Runs, Variant
from eagerbench.backends.torch_compile import BACKEND as TORCH_COMPILE


class TorchAoInt8(Backend):
    """One scale a row of weights and one a token, so that a row's result does not depend on its batch.

    On the CPU alone: on a GPU inductor replaces the product that the probe looks for by one of its own.
    Source: https://docs.pytorch.org/ao/stable/ (`Int8DynamicActivationInt8WeightConfig`)
    """

    variants = (Variant("torchao-int8", "quantised", "int8", {"freezing": True}, Runs.IN_SMALLER_GRIDS),)
    packages = ("torchao", "torch", "transformers")
    devices = ("cpu",)
    per_workload = True
    costly = True
    install = "pip install -e '.[torchao]'"

    def unavailable(self, variant, device):
        return super().unavailable(variant, device) or TORCH_COMPILE.unavailable(variant, device)

    def build(self, variant, model, example, placement):
        from torch._inductor.compile_fx import compile_fx

        from eagerbench.backends.compiled_runner import CompiledRunner

        return _with_layers(CompiledRunner(_quantised(model), example, placement.device, compile_fx, variant.options),
                            model, example)

    def built_by(self, variant, runner):
        return BuiltBy("torchao", {"attention": "sdpa", "dtype": "float32", "inductor": dict(variant.options),
                                   "reduce_range": _narrow()}, packages=(*BuiltBy.packages, "torchao"))

    def build_disengaged(self, variant, model, example, placement):
        """The quantised module through dynamo alone: its graph is run as it is, without inductor."""
        from eagerbench.backends.compiled_runner import CompiledRunner

        return _with_layers(CompiledRunner(_quantised(model), example, placement.device,
                                           lambda graph, inputs: graph.forward), model, example)

    def probe(self, variant, runner, inputs):
        """Engaged when inductor compiled one graph and ran an int8 product for each quantised weight that it needs."""
        from eagerbench.backends.torch_runner import profiled_operators

        compiled = TORCH_COMPILE.probe(TORCH_COMPILE.variants[0], runner, inputs)
        layers = getattr(runner, "layers", 0)  # of a float32 build none
        operators = profiled_operators(runner, inputs)
        fused = operators["onednn::qlinear_pointwise"]  # int8 too: inductor takes it for `_int_mm` where there is AMX
        floats = sum(operators[f"aten::{name}"] for name in ("addmm", "mm")) - fused + sum(
            count for name, count in operators.items() if "linear_pointwise" in name or "_mkl_linear" in name)
        facts = {**compiled.facts, "quantised_layers": layers, "int8_products": operators["aten::_int_mm"] + fused,
                 "float_products": floats}
        engaged = compiled.engaged and 0 < layers <= facts["int8_products"] and not floats
        return Engagement(engaged, f"{facts['int8_products']} int8 products for {layers} int8 weights, "
                                   f"{floats} in float32; {compiled.summary}", facts)


def _with_layers(runner, model, example):
    """The runner with `layers`, how many quantised layers one call runs, and the reference's products.

    Counted on the reference: hooks on the compiled module would have it compiled again.
    """
    import torch
    from torchao.quantization import Int8Tensor

    from eagerbench.backends.int8_linears import require_weights_in_linears
    from eagerbench.backends.products import called, products
    from eagerbench.backends.torch_runner import TorchRunner

    require_weights_in_linears(model, example, "torchao")
    module = model.fresh()
    eager = TorchRunner(module, model.device)
    native = eager.prepare(example)
    ran = called(module, lambda part: type(part) is torch.nn.Linear, lambda: eager(native))
    held = sum(isinstance(getattr(part, "weight", None), Int8Tensor) for part in runner.module.modules())
    runner.layers = min(ran, held)
    runner.products = products(module, lambda: eager(native))
    return runner


def _quantised(model):
    """The module with every linear weight as an `Int8Tensor`.

    torchao would also set inductor's options for the whole process (`set_inductor_config`); they are for GPUs.
    """
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    from eagerbench.backends.int8_linears import require_linears_only

    module = model.copy("sdpa")
    require_linears_only(module, "torchao")
    quantize_(module, Int8DynamicActivationInt8WeightConfig(set_inductor_config=False, reduce_range=_narrow()))
    return module


def _narrow() -> bool:
    """Whether to take 7 bits, as where the processor's int8 product would overflow."""
    import torch
    from torchao.utils import should_reduce_range

    return bool(should_reduce_range(torch.device("cpu")))


BACKEND = TorchAoInt8()
