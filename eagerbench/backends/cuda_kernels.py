"""What PyTorch lets its users choose on a GPU only: one kind of attention kernel, and CUDA graphs."""

from eagerbench.backends.base import Backend, Engagement, Variant

_KERNELS = ("flash", "efficient", "cudnn")


class CudaKernels(Backend):
    """Built and called once for each workload: a kernel that refuses a mask or a dtype says so before it is timed.

    Sources: https://docs.pytorch.org/docs/stable/generated/torch.nn.attention.sdpa_kernel.html,
    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    variants = (
        Variant("sdpa-flash-fp16", "half-precision", "float16", {"attention": "sdpa", "kernel": "flash"}),
        Variant("sdpa-flash-bf16", "reduced-precision", "bfloat16", {"attention": "sdpa", "kernel": "flash"}),
        Variant("sdpa-efficient", "exact-math", options={"attention": "sdpa", "kernel": "efficient"}),
        Variant("sdpa-efficient-fp16", "half-precision", "float16", {"attention": "sdpa", "kernel": "efficient"}),
        Variant("cuda-graph", "exact-math", options={"attention": "sdpa", "graph": True}),
        Variant("cuda-graph-fp16", "half-precision", "float16", {"attention": "sdpa", "graph": True}),
    )
    packages = ("torch", "transformers")
    devices = ("cuda",)
    per_workload = True

    def build(self, variant, model, example, placement):
        from eagerbench.backends.cuda_runners import GraphRunner, SettingsRunner, called_once, module_of

        module = module_of(variant, model)
        if variant.options.get("graph"):
            return GraphRunner(module, placement.device, example)
        return called_once(SettingsRunner(module, placement.device, variant.options["kernel"]), example)

    def build_disengaged(self, variant, model, example, placement):
        """Eager float32, called directly."""
        from eagerbench.backends.cuda_runners import SettingsRunner

        return SettingsRunner(model.copy(), placement.device)

    def probe(self, variant, runner, inputs):
        from eagerbench.backends.cuda_runners import weights_of
        from eagerbench.backends.torch_runner import profiled_operators

        operators = profiled_operators(runner, inputs)
        attention = {kind: sum(count for name, count in operators.items() if f"scaled_dot_product_{kind}" in name)
                     for kind in _KERNELS}
        launches, weights = operators["cudaGraphLaunch"], weights_of(runner.module)
        if "graph" in variant.options:
            ran, summary = launches > 0, f"{launches} graph launches"
        else:
            count = attention[variant.options["kernel"]]
            ran, summary = count == sum(attention.values()) > 0, f"{count} {variant.options['kernel']} kernels"
        facts = {**{f"{kind}_attention_calls": count for kind, count in attention.items()},
                 "graph_launches": launches, "weights": weights}
        return Engagement(ran and weights == variant.dtype, f"weights {weights}, {summary}", facts)


BACKEND = CudaKernels()
