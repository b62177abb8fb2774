"""TorchScript, called from C++."""

from eagerbench.backends import torchscript
from eagerbench.backends.base import Engagement, Variant
from eagerbench.backends.cpp_runner import CppBackend, CppRunner


class TorchScriptCpp(CppBackend):
    """`torch::jit::Module::forward` with inputs by keyword, under inference mode.

    Source: https://docs.pytorch.org/docs/stable/cpp_index.html
    """

    variants = (Variant("torchscript-freeze-cpp", "exact-math"),)
    python = torchscript.BACKEND
    runtime = "torchscript"

    def load(self, variant, directory, placement):
        from eagerbench.backends import tracing

        return CppRunner(variant.name, self.runtime,
                         {"artifact": directory / tracing.FILE, "threads": placement.threads})

    def evidence(self, variant, runner, inputs):
        from eagerbench.backends.tracing import dynamic_shapes

        runner(runner.prepare(inputs))  # the executor may have profiled the call before
        facts = {name: int(value) for name, value in runner.facts()[0].items()}
        summary = "graph of {graph_nodes} nodes, {parameters_left} parameters left in it".format(**facts)
        return Engagement(facts["graph_nodes"] > 0 and not facts["parameters_left"], summary,
                          {**facts, "dynamic_shapes": dynamic_shapes(runner, inputs)})


BACKEND = TorchScriptCpp()
