"""PyTorch modules called directly: `eager` (the reference) and `sdpa`, in float32 and with bf16 weights."""

from eagerbench.backends.base import Arrays, Backend, BuiltBy, Engagement, Runs, Variant
from eagerbench.errors import Refused


class Eager(Backend):
    """`module(**inputs)` with an attention implementation and a weight dtype."""

    variants = (
        Variant("eager", "exact-math", options={"attention": "eager"}, runs=Runs.IN_EVERY_EXPERIMENT),
        Variant("eager-bf16", "reduced-precision", "bfloat16", {"attention": "eager"}),
        Variant("sdpa", "exact-math", options={"attention": "sdpa"}),
        Variant("sdpa-bf16", "reduced-precision", "bfloat16", {"attention": "sdpa"}),
    )
    packages = ("torch", "transformers")
    builds_module = True

    def build(self, variant, model, example, placement):
        from eagerbench.backends.torch_runner import TorchRunner

        if variant.options["attention"] == "sdpa" and not getattr(model.module, "_supports_sdpa", False):
            raise Refused(f"{type(model.module).__name__} has no SDPA attention to choose")
        return TorchRunner(model.copy(variant.options["attention"], variant.dtype), placement.device)

    def built_by(self, variant, runner):
        return BuiltBy("plain", {"attention": variant.options["attention"], "dtype": variant.dtype})

    def build_disengaged(self, variant, model, example, placement):
        """The other attention; for bf16 the float32 weights."""
        from eagerbench.backends.torch_runner import TorchRunner

        attention = variant.options["attention"]
        if variant.dtype == "float32":
            attention = {"eager": "sdpa", "sdpa": "eager"}[attention]
        return TorchRunner(model.copy(attention), placement.device)

    def probe(self, variant, runner, inputs):
        attention = _attention_engagement(variant, runner, inputs)
        if variant.dtype == "float32" or not attention.engaged:
            return attention
        from eagerbench.backends.products import products
        from eagerbench.backends.torch_runner import bf16_engagement

        if runner.device != "cpu":
            dtypes = {str(p.dtype) for p in runner.module.parameters()}
            return Engagement(dtypes == {"torch.bfloat16"}, f"weights {dtypes}", attention.facts)
        native = runner.prepare(inputs)
        held = products(runner.module, lambda: runner(native))
        bf16 = bf16_engagement(runner, inputs, held.weighted + held.convolutions)
        return Engagement(bf16.engaged, f"{attention.summary}; {bf16.summary}", {**attention.facts, **bf16.facts})


def _attention_engagement(variant: Variant, runner, inputs: Arrays) -> Engagement:
    """Which scaled-dot-product kernels one call ran. On the CPU the fused one is the flash kernel.

    A module without attention has nothing to choose, and neither has one that calls SDPA whatever is asked of it.
    """
    from eagerbench.backends.torch_runner import profiled_operators
    from eagerbench.models.classes import is_pretrained

    operators = profiled_operators(runner, inputs)
    sdpa = {name.removeprefix("aten::"): count for name, count in operators.items()
            if name.startswith("aten::") and "scaled_dot_product" in name}
    fused = sum(count for name, count in sdpa.items() if "flash" in name or "efficient" in name or "cudnn" in name)
    unfused = sum(count for name, count in sdpa.items() if name.endswith("attention_math"))
    facts = {"sdpa_calls": sdpa.get("scaled_dot_product_attention", 0), "fused_attention_calls": fused}
    if not is_pretrained(runner.module):
        return Engagement(True, "no attention implementation to choose", facts)
    if variant.options["attention"] == "eager":
        if sdpa and not getattr(runner.module, "_supports_sdpa", False):
            return Engagement(True, f"{len(sdpa)} SDPA operators ran: {type(runner.module).__name__} has no other "
                                    "attention", facts)
        return Engagement(not sdpa, f"{len(sdpa)} SDPA operators ran (none expected)", facts)
    if not sdpa and not any("softmax" in name for name in operators):
        return Engagement(True, "no attention ran: nothing to fuse", facts)
    return Engagement(fused > 0 and not unfused, f"{fused} fused attention kernels", facts)


BACKEND = Eager()
