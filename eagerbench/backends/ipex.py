"""Intel Extension for PyTorch (archived, last release 2.8.0), in an environment of its own: packed weights, fusion.

Importing it changes the whole process: every frozen graph gets its fusions, and eager layer norms and embeddings its
kernels. The first is switched off here except for this backend's own calls; the second cannot be undone.
"""

import collections
import importlib.metadata
import re

from eagerbench.backends.base import Backend, Engagement, Variant
from eagerbench.errors import Refused

# Names in an optimised graph, from the operators that `libintel-ext-pt-cpu.so` registers.
_PATTERNS = {
    "multi_head_attention": r"ipex::(?:\w+_)?mha\w*",
    "linear_gelu": r"ipex_prepack::linear_gelu_run",
    "linear_add": r"ipex_prepack::linear_add_run",
    "add_layer_norm": r"ipex::add_layernorm",
}
_PACKED = r"ipex_prepack::(?:linear\w*|mkl_sgemm)_run"
_PRODUCTS = rf"{_PACKED}|aten::linear|aten::addmm|aten::mm"
_PACKED_CALLS = ("torch_ipex::ipex_MKLSGEMM", "torch_ipex::ipex_linear")
_WARM_UP_CALLS = 3  # the first call profiles the graph, the second fuses it


class Ipex(Backend):
    """`ipex.optimize`, called eagerly, or traced and frozen; bf16 under autocast, as its documentation has it.

    From eager attention: IPEX knows that pattern, not SDPA.
    Source: https://intel.github.io/intel-extension-for-pytorch/cpu/2.8.0+cpu/
    """

    variants = (
        Variant("ipex", "exact-math", options={"trace": False}),
        Variant("ipex-torchscript", "exact-math", options={"trace": True}),
        Variant("ipex-torchscript-bf16", "reduced-precision", "bfloat16", {"trace": True}),
    )
    packages = ("intel_extension_for_pytorch", "torch", "transformers")
    devices = ("cpu",)
    install = "make env-ipex"

    def unavailable(self, variant, device):
        """IPEX loads with its own torch release only, and ends the import with an AttributeError otherwise."""
        reason = super().unavailable(variant, device)
        if reason:
            return reason
        versions = [importlib.metadata.version(name) for name in ("intel_extension_for_pytorch", "torch")]
        ours, torchs = (".".join(version.split(".")[:2]) for version in versions)
        if ours == torchs:
            return None
        return f"IPEX {versions[0]} needs torch {ours}, this is {torchs} (run: {self.install})"

    def build(self, variant, model, example, placement):
        """Raises ValueError when IPEX packs no layer and there is no graph to fuse, as for GPT-2."""
        import torch

        module = _ipex().optimize(model.copy(), dtype=getattr(torch, variant.dtype), inplace=True)
        if variant.options["trace"]:
            return _warm(_runner(trace(module, example, variant.dtype), fusion=True), example)
        if not packed_layers(module):
            raise Refused(f"IPEX packs no layer of {type(module).__name__}: it packs torch.nn.Linear, tied ones not")
        return _runner(module, fusion=False)

    def build_disengaged(self, variant, model, example, placement):
        """The module as it is; for a graph, the same without IPEX's fusion; for bf16, the float32 graph."""
        _ipex()
        if not variant.options["trace"]:
            return _runner(model.copy(), fusion=False)
        if variant.dtype != "float32":
            return self.build(self.variants[1], model, example, placement)
        return _warm(_runner(trace(model.copy(), example, "float32"), fusion=False), example)

    def probe(self, variant, runner, inputs):
        if not variant.options["trace"]:
            return _packed_engagement(runner, inputs)
        import torch

        from eagerbench.backends.torch_runner import bf16_engagement

        runner(runner.prepare(inputs))
        graph = re.findall(r" = ([\w]+::\w+)\(", str(torch._C._last_executed_optimized_graph()))
        facts = {f"fused_{name}": sum(bool(re.fullmatch(pattern, node)) for node in graph)
                 for name, pattern in _PATTERNS.items()}
        summary = "fused: " + ", ".join(f"{count} {name[6:].replace('_', ' ')}" for name, count in facts.items())
        facts["packed_linears"] = sum(bool(re.fullmatch(_PACKED, node)) for node in graph)
        summary = f"{summary}; {facts['packed_linears']} packed linears"
        if not any(facts.values()) or variant.dtype == "float32":
            return Engagement(any(facts.values()), summary, facts)
        bf16 = bf16_engagement(runner, inputs, sum(bool(re.fullmatch(_PRODUCTS, node)) for node in graph))
        return Engagement(bf16.engaged, f"{summary}; {bf16.summary}", {**facts, **bf16.facts})


def packed_layers(module) -> int:
    """Number of layers whose weights IPEX has packed."""
    return sum(type(part).__name__ == "_IPEXLinear" for part in module.modules())


def trace(module, example, dtype: str):
    """A frozen trace, for bf16 under autocast."""
    import torch

    from eagerbench.backends.torch_runner import TorchRunner
    from eagerbench.backends.tracing import trace_module

    return torch.jit.freeze(trace_module(module, {"example_kwarg_inputs": TorchRunner(None).prepare(example)}, dtype))


def _ipex():
    """IPEX with its fusion of everybody's graphs switched off."""
    import intel_extension_for_pytorch as ipex

    ipex.enable_onednn_fusion(False)
    return ipex


def _runner(module, fusion: bool):
    """A runner that allows IPEX's fusion of graphs during its own calls."""
    from eagerbench.backends.torch_runner import TorchRunner

    if not fusion:
        return TorchRunner(module)
    ipex = _ipex()

    class FusingRunner(TorchRunner):
        def __call__(self, native):
            ipex.enable_onednn_fusion(True)
            try:
                return super().__call__(native)
            finally:
                ipex.enable_onednn_fusion(False)

    return FusingRunner(module)


def _warm(runner, example):
    native = runner.prepare(example)
    for _ in range(_WARM_UP_CALLS):
        runner(native)
    return runner


def _packed_engagement(runner, inputs) -> Engagement:
    """Every packed layer ran IPEX's matrix product in one call."""
    from eagerbench.backends.torch_runner import profiled_operators

    layers = packed_layers(runner.module)
    operators: collections.Counter = profiled_operators(runner, inputs)
    calls = sum(operators[name] for name in _PACKED_CALLS)
    return Engagement(calls >= layers > 0, f"{calls} matrix products on {layers} packed linear layers",
                      {"packed_linears": layers, "packed_products": calls})


BACKEND = Ipex()
