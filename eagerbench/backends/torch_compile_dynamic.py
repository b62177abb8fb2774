"""torch.compile with dynamic shapes: one inductor graph for every batch size and sequence length."""

from eagerbench.backends.base import Engagement, Runs, Variant
from eagerbench.backends.torch_compile import TorchCompile


class TorchCompileDynamic(TorchCompile):
    """`dynamic=True` with freezing; built once for all workloads, where `torch-compile` compiles for each.

    Dynamo keeps 0 and 1 out of a dynamic size. `backed_size_oblivious` lets most models have a batch of one in the same
    graph, but not all (a view of MiniLM asks for two rows), and transformers itself asks whether there is more than
    one token. So a batch of one is compiled at the build, and a single token, which few measure, when `prepare` first
    sees one: in graphs of their own where torch wants them. A single token alone (1 × 1) is not.
    Source: https://docs.pytorch.org/docs/stable/torch.compiler_dynamic_shapes.html
    """

    variants = (Variant("torch-compile-dynamic", "exact-math", options={"freezing": True},
                        runs=Runs.IN_SMALLER_GRIDS),)
    per_workload = False

    def build(self, variant, model, example, placement):
        return _runner(model, example, placement.device, variant.options)

    def cannot_generate(self, variant, cache):
        return "compiled for growing texts without past key values; `torch-compile` generates with a static cache"

    def build_disengaged(self, variant, model, example, placement):
        """Compiled for the example's sizes only, and then called with others."""
        import numpy as np

        static = super().build(variant, model, example, placement)
        static(static.prepare({name: np.concatenate([array, array]) for name, array in example.items()}))
        return static

    def probe(self, variant, runner, inputs):
        found = super().probe(variant, runner, inputs)
        special = runner.graphs_at_build - 1
        summary = f"{found.summary}, {special} graphs for sizes of one"
        return Engagement(found.engaged and special <= getattr(runner, "sizes_of_one", 0), summary,
                          {**found.facts, "graphs_for_sizes_of_one": special})


def _runner(model, example, device, options):
    import torch
    from torch._inductor.compile_fx import compile_fx

    from eagerbench.backends.axes import dynamic_axes, one_of
    from eagerbench.backends.compiled_runner import CompiledRunner

    axes = dynamic_axes(model)

    class DynamicRunner(CompiledRunner):
        one_token = None
        sizes_of_one = 0

        def also_for(self, special):
            self.sizes_of_one += 1
            self.compile_for(special)

        def prepare(self, inputs):
            if self.one_token is not None and inputs["input_ids"].shape[1] == 1:
                special, self.one_token = self.one_token, None
                self.also_for(special)
            native = super().prepare(inputs)
            for name, tensor in native.items():  # else a fixed size of one, oblivious, no longer broadcasts
                torch._dynamo.mark_static(tensor, [axis for axis in range(tensor.ndim) if axis not in axes[name]])
            return native

    # Duck shapes: dynamo takes sizes equal in the example, its 3 rows and 3 fixed weights say, for one and the same.
    with torch.fx.experimental._config.patch(backed_size_oblivious=True, use_duck_shape=False):
        runner = DynamicRunner(model.copy("sdpa"), example, device, compile_fx, options, dynamic=True)
    runner.also_for(one_of("batch", model, example))
    if "input_ids" in example:  # other inputs have no tokens to be one of
        runner.one_token = one_of("sequence", model, example)
    return runner


BACKEND = TorchCompileDynamic()
