"""Narrow dtypes that only a GPU multiplies fast: float16 weights, and float32 products in TF32."""

from eagerbench.backends.base import Backend, Engagement, Variant


class Cuda(Backend):
    """A module called directly.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#tf32-on-ampere
    """

    variants = (
        Variant("eager-fp16", "half-precision", "float16", {"attention": "eager"}),
        Variant("eager-tf32", "half-precision", "tf32", {"attention": "eager"}),
        Variant("sdpa-fp16", "half-precision", "float16", {"attention": "sdpa"}),
    )
    packages = ("torch", "transformers")
    devices = ("cuda",)
    builds_module = True

    def build(self, variant, model, example, placement):
        from eagerbench.backends.cuda_runners import SettingsRunner, module_of

        return SettingsRunner(module_of(variant, model), placement.device, tf32=variant.dtype == "tf32")

    def build_disengaged(self, variant, model, example, placement):
        """Eager float32, called directly."""
        from eagerbench.backends.cuda_runners import SettingsRunner

        return SettingsRunner(model.copy(), placement.device)

    def generator(self, variant, runner, model, cache, placement):
        return runner.generating() if variant.dtype == "tf32" else runner.module

    def probe(self, variant, runner, inputs):
        """float16 by the weights. TF32 by its rounding, and by kernels that do not run without it: their names differ
        between generations of GPUs."""
        from eagerbench.backends.cuda_runners import SettingsRunner, weights_of
        from eagerbench.backends.torch_runner import profiled_kernels

        weights = weights_of(runner.module)
        if variant.dtype != "tf32":
            return Engagement(weights == variant.dtype, f"weights {weights}", {"weights": weights})
        rounds = runner.rounds_to_tf32()
        plain = profiled_kernels(SettingsRunner(runner.module, runner.device), inputs)
        own = sum((profiled_kernels(runner, inputs) - plain).values())
        summary = (f"weights {weights}, {own} kernels that do not run without TF32, products "
                   f"{'rounded' if rounds else 'not rounded'} to it")
        return Engagement(rounds and own > 0, summary, {"weights": weights, "tf32_kernels": own, "tf32_rounds": rounds})


BACKEND = Cuda()
