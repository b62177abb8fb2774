"""torch.compile: inductor with freezing, one static graph for each workload."""

import os
import shutil

from eagerbench.backends.base import Backend, BuiltBy, Engagement, Runs, Variant
from eagerbench.machine import plain_paths
from eagerbench.shown import count


class TorchCompile(Backend):
    """Compiled from SDPA attention, the default that users compile.

    bf16 has bf16 weights and no autocast: under autocast every weight that is not frozen is cast again at every call.
    `-autotune` times inductor's C++ matrix products against oneDNN's and MKL's for every layer, and keeps the faster.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.compile.html
    """

    variants = (
        Variant("torch-compile", "exact-math", options={"freezing": True}),
        Variant("torch-compile-autotune", "exact-math", options={
            "freezing": True, "max_autotune": True, "max_autotune_gemm_backends": "CPP,ATEN",
            "autotune_num_choices_displayed": 0}, runs=Runs.IN_SMALLER_GRIDS),
        Variant("torch-compile-bf16", "reduced-precision", "bfloat16", {"freezing": True}),
    )
    packages = ("torch", "transformers")
    per_workload = True
    costly = True

    def unavailable(self, variant, device):
        if device != "cpu" and "max_autotune" in variant.options:
            return "tunes inductor's C++ products, which are for the CPU"
        return super().unavailable(variant, device) or no_compiler(device)

    def build(self, variant, model, example, placement):
        from torch._inductor.compile_fx import compile_fx

        from eagerbench.backends.compiled_runner import CompiledRunner

        return CompiledRunner(model.copy("sdpa", variant.dtype), example, placement.device, compile_fx,
                              variant.options)

    def built_by(self, variant, runner):
        return BuiltBy("compiled", {"attention": "sdpa", "dtype": variant.dtype, "inductor": dict(variant.options),
                                    "dynamic": None if self.per_workload else True})

    def cannot_generate(self, variant, cache):
        if cache == "static":
            return None
        return "it generates with a static cache only: any other changes its shape, and compiles again, at every token"

    def generator(self, variant, runner, model, cache, placement):
        """Graphs of their own, for the prompt and for one token, are compiled by the first `generate()`."""
        return runner.generating()

    def build_disengaged(self, variant, model, example, placement):
        """float32 for bf16, no tuning for autotune; else dynamo's graph run as it is, without inductor."""
        from eagerbench.backends.compiled_runner import CompiledRunner

        if variant.name != self.variants[0].name:
            return self.build(self.variants[0], model, example, placement)
        return CompiledRunner(model.copy("sdpa"), example, placement.device, lambda graph, inputs: graph.forward)

    def probe(self, variant, runner, inputs):
        facts = {"graphs": runner.graphs, "inductor_graphs": runner.inductor_graphs,
                 "graphs_from_cache": runner.cache_hits, "graph_breaks": runner.graph_breaks,
                 "recompilations": runner.recompilations,
                 "linear_layers": runner.products.weighted, "unpacked_products": runner.unpacked_products(inputs)}
        summary = (f"{count(runner.inductor_graphs, 'inductor graph')}, {count(runner.graph_breaks, 'break')}, "
                   f"{count(runner.recompilations, 'recompilation')}, {facts['unpacked_products']} of "
                   f"{count(facts['linear_layers'], 'product')} with unpacked weights")
        engaged = (facts["graphs"] >= 1 and facts["inductor_graphs"] == runner.graphs_at_build
                   and not facts["recompilations"])
        if facts["graph_breaks"]:  # Python that depends on values: what lies between is compiled all the same
            summary += "; the model's own Python cuts it into pieces"
        if runner.device == "cpu":  # weights are packed for oneDNN and MKL only
            engaged = engaged and 2 * facts["unpacked_products"] <= runner.products.weighted
        if "max_autotune" in variant.options:
            facts |= {"tuned_products": runner.tuned, "cpp_templates": runner.templates}
            summary += "; {tuned_products} products tuned, {cpp_templates} C++ templates".format(**facts)
            engaged = engaged and (facts["tuned_products"] > 0 or not runner.products.weighted)
        if not engaged or variant.dtype == "float32" or runner.device != "cpu":
            return Engagement(engaged, summary, facts)
        from eagerbench.backends.torch_runner import bf16_engagement

        bf16 = bf16_engagement(runner, inputs, runner.products.weighted + runner.products.convolutions)
        return Engagement(bf16.engaged, f"{summary}; {bf16.summary}", {**facts, **bf16.facts})


def no_compiler(device: str) -> str | None:
    """Why inductor cannot compile for `device`; None when it can."""
    if device == "cpu" and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        return "no C++ compiler on PATH (inductor needs g++ or clang++)"
    return plain_paths.unavailable() if device == "cpu" else None


BACKEND = TorchCompile()
