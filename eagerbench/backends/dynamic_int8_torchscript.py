"""PyTorch's dynamic int8, traced and frozen: a file that `torch.jit.load` runs without the model's code."""

from eagerbench.backends.base import Engagement, ExportingBackend, OpenedBy, Variant


class DynamicInt8TorchScript(ExportingBackend):
    """What `dynamic-int8` runs, through `torch.jit.trace` and `torch.jit.freeze`."""

    variants = (Variant("dynamic-int8-torchscript", "quantised-coarse", "int8",
                        {"weights": "per-channel", "engine": "onednn", "freeze": True}),)
    packages = ("torch", "transformers")
    devices = ("cpu",)

    def export(self, variant, model, example, directory):
        from eagerbench.backends import tracing
        from eagerbench.backends.int8_linears import quantise, require_weights_in_linears

        quantised = quantise(model.copy("sdpa"))
        require_weights_in_linears(model, example, "quantize_dynamic")
        tracing.save(_frozen_trace(quantised, example), directory)

    def opened_by(self, variant, placement):
        from eagerbench.backends import tracing
        from eagerbench.backends.int8_linears import ENGINE

        return OpenedBy("torchscript", tracing.FILE, {"positional": False, "optimize_for_inference": False,
                                                      "quantized_engine": ENGINE})

    def load(self, variant, directory, placement):
        from eagerbench.backends import tracing
        from eagerbench.backends.int8_linears import engine
        from eagerbench.backends.torch_runner import TorchRunner

        with engine():  # weights are packed anew while loading
            return TorchRunner(tracing.load(directory, placement), placement.device)

    def build_disengaged(self, variant, model, example, placement):
        """Traced and frozen in float32."""
        from eagerbench.backends.torch_runner import TorchRunner

        return TorchRunner(_frozen_trace(model.copy("sdpa"), example), placement.device)

    def probe(self, variant, runner, inputs):
        import torch

        from eagerbench.backends.int8_linears import int8_engagement

        if not isinstance(runner.module, torch.jit.ScriptModule):
            return Engagement(False, f"a {type(runner.module).__name__}, not a ScriptModule")
        runner(runner.prepare(inputs))
        nodes = str(torch._C._last_executed_optimized_graph()).count("quantized::linear_dynamic")
        parameters = len(list(runner.module.parameters()))
        int8 = int8_engagement(runner, inputs, nodes)
        return Engagement(int8.engaged and not parameters, f"{int8.summary}, {parameters} parameters left in the graph",
                          {**int8.facts, "parameters_left": parameters})


def _frozen_trace(module, example):
    import torch

    from eagerbench.backends.torch_runner import TorchRunner
    from eagerbench.backends.tracing import trace_module

    return torch.jit.freeze(trace_module(module, {"example_kwarg_inputs": TorchRunner(None).prepare(example)}))


BACKEND = DynamicInt8TorchScript()
