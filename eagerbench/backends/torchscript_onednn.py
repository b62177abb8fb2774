"""oneDNN graph fusion in TorchScript (`torch.jit.enable_onednn_fusion`), in float32 and under bf16 autocast."""

import re

from eagerbench.backends.base import Backend, BuiltBy, Engagement, Variant
from eagerbench.errors import Refused
from eagerbench.outputs.tolerance import relative_distance

_DISTANCE = {"float32": 1e-3, "bfloat16": 0.1}  # of a right one 1e-5 and 1e-2
_BY_ELEMENT = {f"aten::{name}" for name in ("add", "sub", "mul", "div", "neg", "sign", "minimum", "maximum", "clamp",
                                            "to", "type_as", "unsqueeze")}
_WHOLE = {f"aten::{name}" for name in ("ceil", "floor", "trunc", "round", "floor_divide")}
_WHOLE_DTYPES = range(5)  # of `aten::to`: uint8, int8, int16, int32, int64


class TorchScriptOneDnn(Backend):
    """A frozen trace whose products, activations, normalisations and float32 attention run as oneDNN partitions.

    The JIT's executor fuses at the second call of a shape, for that shape, and for at most 12 of them: the next runs
    unfused without a word. So one build serves one workload. The setting of the process is on only while it fuses.
    Source: https://docs.pytorch.org/docs/stable/jit.html#torch.jit.enable_onednn_fusion
    """

    variants = (
        Variant("torchscript-onednn", "exact-math"),
        Variant("torchscript-onednn-bf16", "reduced-precision", "bfloat16"),
    )
    packages = ("torch", "transformers")
    devices = ("cpu",)
    per_workload = True
    costly = True

    def build(self, variant, model, example, placement):
        import torch

        from eagerbench.backends.tracing import FusingRunner, trace
        from eagerbench.errors import first_line

        frozen = torch.jit.freeze(trace(model, example, variant.dtype))
        _require_exact_gelu(frozen, type(model.module).__name__)
        _require_no_whole_logarithm(frozen, type(model.module).__name__)
        runner = FusingRunner(frozen, placement.device)
        native = runner.prepare(example)
        try:
            with torch.inference_mode():
                unfused = runner.arrays(frozen(**native))
            fused = runner.arrays(runner(native))
        except (RuntimeError, IndexError) as error:  # GPT-2: it cannot take a product and a sum with constants
            raise Refused(f"oneDNN graph fusion fails on {type(model.module).__name__}: "
                          f"{first_line(error)}") from error
        distance = relative_distance(fused, unfused, example.get("attention_mask"))
        if not distance < _DISTANCE[variant.dtype]:
            raise Refused(f"oneDNN graph fusion changes what {type(model.module).__name__} computes (relative "
                          f"distance {distance:.2g} to the unfused trace): use `torchscript-freeze`")
        return runner

    def built_by(self, variant, runner):
        return BuiltBy("onednn", {"dtype": "float32"}, "script", ("torch",))

    def build_disengaged(self, variant, model, example, placement):
        """The same frozen trace, in the same dtype, not fused."""
        import torch

        from eagerbench.backends.torch_runner import TorchRunner
        from eagerbench.backends.tracing import trace

        return TorchRunner(torch.jit.freeze(trace(model, example, variant.dtype)), placement.device)

    def probe(self, variant, runner, inputs):
        """oneDNN logs each partition with its kind; a linear layer that runs outside of them was not fused.

        A model without products is engaged by any partition.
        """
        from eagerbench.backends.torch_runner import bf16_engagement, onednn_primitives, profiled_operators
        from eagerbench.backends.tracing import dynamic_shapes

        runner(runner.prepare(inputs))
        kinds = re.findall(r"onednn_verbose,\w+,graph,exec,\w+,\d+,(\w+)", "\n".join(onednn_primitives(runner, inputs)))
        facts = {"partitions": len(kinds), "fused_products": kinds.count("matmul_post_ops"),
                 "fused_attention": kinds.count("sdp"),
                 "unfused_linears": profiled_operators(runner, inputs)["aten::linear"]}
        summary = ("{partitions} oneDNN partitions: {fused_products} products, {fused_attention} attention; "
                   "{unfused_linears} linear layers outside").format(**facts)
        graph = runner.module.inlined_graph
        could = sum(len(graph.findAllNodes(f"aten::{name}")) for name in ("linear", "matmul", "addmm", "bmm"))
        fused = facts["fused_products"] > 0 or (not could and facts["partitions"] > 0)
        engaged = fused and not facts["unfused_linears"]
        summary += "" if could else " (no product to fuse)"
        if engaged and variant.dtype != "float32":
            bf16 = bf16_engagement(runner, inputs, len(runner.module.inlined_graph.findAllNodes("aten::linear")))
            engaged, summary, facts = bf16.engaged, f"{summary}; {bf16.summary}", {**facts, **bf16.facts}
        return Engagement(engaged, summary, {**facts, "dynamic_shapes": dynamic_shapes(runner, inputs)})


def _require_exact_gelu(frozen, name: str) -> None:
    """Raise ValueError for GELU by tanh: PyTorch hands every GELU to oneDNN as the exact one (torch 2.13.0)."""
    for node in frozen.graph.findAllNodes("aten::gelu"):
        if list(node.inputs())[1].toIValue() != "none":
            raise Refused(f"oneDNN graph fusion would compute {name}'s tanh-approximated GELU as the exact one: use "
                          "`torchscript-freeze`")


def _require_no_whole_logarithm(frozen, name: str) -> None:
    """Raise ValueError where a logarithm becomes a whole number: oneDNN's is off by 2e-6 (torch 2.13.0).

    8 log(n/8) / log(16), by which T5 and MPNet put distances into buckets, is 1.9999958 for 16 instead of 2, so that
    the distances 16, 32, 64 and so on fall into the bucket before.
    """
    reached = [node.output() for node in frozen.graph.findAllNodes("aten::log")]
    for value in reached:  # and what follows it by arithmetic element by element, once each
        for node in (use.user for use in value.uses()):
            if _makes_whole(node):
                raise Refused(f"oneDNN graph fusion would put some of {name}'s distances into the wrong bucket: its "
                              "logarithm is off by 2e-6, and the model cuts it to a whole number: use "
                              "`torchscript-freeze`")
            if node.kind() in _BY_ELEMENT and node.output().debugName() not in {seen.debugName() for seen in reached}:
                reached.append(node.output())


def _makes_whole(node) -> bool:
    """Whether a node rounds, or casts to an integer type."""
    if node.kind() != "aten::to":
        return node.kind() in _WHOLE
    constants = (given.toIValue() for given in node.inputs() if given.node().kind() == "prim::Constant")
    return next((one for one in constants if type(one) is int), None) in _WHOLE_DTYPES  # its flags are bools


BACKEND = TorchScriptOneDnn()
