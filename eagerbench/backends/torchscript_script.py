"""`torch.jit.script`: compiled from the Python source, control flow included. For plain `torch.nn` modules."""

import warnings

from eagerbench.backends.base import Engagement, ExportingBackend, OpenedBy, Runs, Variant


class TorchScriptScript(ExportingBackend):
    """Hugging Face models are refused with the compiler's own error.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.jit.script.html
    """

    variants = (Variant("torchscript-script", "exact-math", runs=Runs.AT_ONE_SHAPE),)

    def export(self, variant, model, example, directory):
        import torch

        from eagerbench.backends import tracing

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            script = torch.jit.script(model.copy())
        tracing.save(script, directory)

    def opened_by(self, variant, placement):
        from eagerbench.backends import tracing

        return OpenedBy("torchscript", tracing.FILE, {"positional": False, "optimize_for_inference": False,
                                                      "quantized_engine": None})

    def load(self, variant, directory, placement):
        from eagerbench.backends import tracing
        from eagerbench.backends.torch_runner import TorchRunner

        return TorchRunner(tracing.load(directory, placement), placement.device)

    def build_disengaged(self, variant, model, example, placement):
        """The module itself."""
        from eagerbench.backends.torch_runner import TorchRunner

        return TorchRunner(model.copy(), placement.device)

    def probe(self, variant, runner, inputs):
        import torch

        from eagerbench.backends.tracing import dynamic_shapes, executed_graph

        if not isinstance(runner.module, torch.jit.ScriptModule):
            return Engagement(False, f"a {type(runner.module).__name__}, not a ScriptModule")
        graph = executed_graph(runner, inputs)
        branches = len(runner.module.inlined_graph.findAllNodes("prim::If"))
        facts = {"graph_nodes": str(graph).count(" = "), "branches": branches,
                 "dynamic_shapes": dynamic_shapes(runner, inputs)}
        return Engagement(facts["graph_nodes"] > 0, "graph of {graph_nodes} nodes, {branches} branches kept".format(
            **facts), facts)


BACKEND = TorchScriptScript()
