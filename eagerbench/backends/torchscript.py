"""TorchScript: `torch.jit.trace`, as it is, frozen, or optimised for inference; optionally under bf16 autocast."""

from eagerbench.backends.base import Engagement, ExportingBackend, OpenedBy, Runs, Variant
from eagerbench.errors import Refused


class TorchScript(ExportingBackend):
    """Traced from eager attention, so that a difference to the reference is the JIT's alone.

    `optimize_for_inference` runs when the artifact is loaded, in the process that uses it: of a model with
    convolutions its result cannot be saved and read again ("required keyword attribute 'value' is undefined").
    Sources: https://docs.pytorch.org/docs/stable/generated/torch.jit.trace.html,
    https://docs.pytorch.org/docs/stable/generated/torch.jit.optimize_for_inference.html
    """

    variants = (
        Variant("torchscript", "exact-math", options={"graph": "traced"}),
        Variant("torchscript-positional", "exact-math", options={"graph": "traced", "positional": True},
                runs=Runs.AT_ONE_SHAPE),
        Variant("torchscript-freeze", "exact-math", options={"graph": "frozen"}),
        Variant("torchscript-freeze-bf16", "reduced-precision", "bfloat16", {"graph": "frozen"}),
        Variant("torchscript-optimized", "exact-math", options={"graph": "optimized"}),
        Variant("torchscript-optimized-bf16", "reduced-precision", "bfloat16", {"graph": "optimized"}),
    )
    packages = ("torch", "transformers")

    def export(self, variant, model, example, directory):
        import torch

        from eagerbench.backends import tracing

        traced = tracing.trace(model, example, variant.dtype, variant.options.get("positional", False))
        tracing.save(traced if variant.options["graph"] == "traced" else torch.jit.freeze(traced), directory)

    def opened_by(self, variant, placement):
        from eagerbench.backends import tracing

        return OpenedBy("torchscript", tracing.FILE, {
            "positional": bool(variant.options.get("positional")),
            "optimize_for_inference": variant.options["graph"] == "optimized", "quantized_engine": None})

    def load(self, variant, directory, placement):
        from eagerbench.backends import tracing
        from eagerbench.backends.torch_runner import TorchRunner

        script = tracing.load(directory, placement)
        if variant.options.get("positional"):
            return tracing.PositionalRunner(script, placement.device)
        return TorchRunner(_optimized(script) if variant.options["graph"] == "optimized" else script, placement.device)

    def cannot_generate(self, variant, cache):
        if cache == "static":
            return "traced with past key values that grow: it generates with a dynamic cache or none"
        if cache == "dynamic" and variant.dtype != "float32":
            return "past key values are traced in float32 only"
        return None

    def generator(self, variant, runner, model, cache, placement):
        """With a cache, another trace: that of the artifact takes no past key values."""
        if cache == "none":
            return super().generator(variant, runner, model, cache, placement)
        import torch

        from eagerbench.backends.generating import WithPast, growing, past_example
        from eagerbench.backends.tracing import trace_module

        script = trace_module(WithPast(model.copy()).eval(), {"example_inputs": past_example(model)},
                              device=model.device)
        if variant.options["graph"] != "traced":
            script = torch.jit.freeze(script)
        if variant.options["graph"] == "optimized":
            script = _optimized(script)
        return growing(model, lambda ids, mask, past: script(ids, mask, *past))

    def build_disengaged(self, variant, model, example, placement):
        """One step less: not optimised but frozen, not frozen, by keyword, not traced; for frozen bf16 in float32."""
        import torch

        from eagerbench.backends.torch_runner import TorchRunner
        from eagerbench.backends.tracing import trace

        if variant.options["graph"] == "optimized":
            return TorchRunner(torch.jit.freeze(trace(model, example, variant.dtype)), placement.device)
        if variant.name == "torchscript":
            return TorchRunner(model.copy(), placement.device)
        return TorchRunner(trace(model, example), placement.device)

    def probe(self, variant, runner, inputs):
        import torch

        from eagerbench.backends.tracing import PositionalRunner, dynamic_shapes, executed_graph

        if not isinstance(runner.module, torch.jit.ScriptModule):
            return Engagement(False, f"a {type(runner.module).__name__}, not a ScriptModule")
        graph = executed_graph(runner, inputs)
        facts = {"parameters_left": len(list(runner.module.parameters())), "graph_nodes": str(graph).count(" = "),
                 "graph_linears": len(graph.findAllNodes("aten::linear"))}
        summary = "graph of {graph_nodes} nodes, {parameters_left} parameters left in it".format(**facts)
        engaged = facts["graph_nodes"] > 0 and not (variant.options["graph"] != "traced" and facts["parameters_left"])
        if variant.options["graph"] == "optimized":
            facts |= _rewritten(graph)
            summary += "; {transposed_linears} linear layers transposed, {onednn_nodes} oneDNN nodes".format(**facts)
            engaged &= facts["transposed_linears"] + facts["onednn_nodes"] > 0
        if variant.options.get("positional"):
            engaged &= isinstance(runner, PositionalRunner)
            facts["positional_inputs"] = list(getattr(runner, "order", ()))
            summary += f"; by position: {', '.join(facts['positional_inputs']) or 'none'}"
        facts["dynamic_shapes"] = dynamic_shapes(runner, inputs)
        if not engaged or variant.dtype == "float32" or runner.device != "cpu":
            return Engagement(engaged, summary, facts)
        from eagerbench.backends.torch_runner import bf16_engagement

        bf16 = bf16_engagement(runner, inputs, facts["graph_linears"] + facts.get("transposed_linears", 0))
        return Engagement(bf16.engaged, f"{summary}; {bf16.summary}", {**facts, **bf16.facts})


def _optimized(frozen):
    """`optimize_for_inference` of a frozen module.

    Raises:
        ValueError: it changed nothing, so that this would be `torchscript-freeze` under another name.
    """
    import torch

    script = torch.jit.optimize_for_inference(frozen)
    if not any(_rewritten(script.graph).values()):
        raise Refused("torch.jit.optimize_for_inference changes nothing here: it rewrites linear layers and "
                      "convolutions on the CPU, and the frozen graph has none")
    return script


def _rewritten(graph) -> dict[str, int]:
    """What `optimize_for_inference` makes: linear layers as a product with a constant that is their transposed weight,
    followed by an addition (pass FrozenLinearTranspose), and convolutions on oneDNN tensors."""
    products = graph.findAllNodes("aten::matmul")
    constant = [node for node in products if list(node.inputs())[1].node().kind() == "prim::Constant"]
    return {"transposed_linears": len(constant), "onednn_nodes": str(graph).count(" = prim::mkldnn_")}


BACKEND = TorchScript()
