"""BetterTransformer: encoder layers as `torch.nn.TransformerEncoderLayer`, with its fast path on, off, or nested."""

from dataclasses import replace

from eagerbench.backends.base import Backend, BuiltBy, Engagement, Runs, Variant
from eagerbench.errors import Refused

_FAST_PATH = "aten::_transformer_encoder_layer_fwd"
_NESTED = "aten::_nested_tensor_from_mask"
# Products of tokens with weights, and which of their inputs has a row a token.
_PRODUCTS = {"aten::mm": 0, "aten::addmm": 1, "aten::_addmm_activation": 1}


class BetterTransformer(Backend):
    """The conversion is `eagerbench.models.encoder_layers`; it refuses what it does not know by name.

    Nested tensors hold the real tokens only. PyTorch makes them of batches padded on the right; a batch that is padded
    on the left, or has holes, runs dense: right, and not engaged. A row without any real token is NaN in dense layers.
    """

    variants = (
        Variant("bettertransformer", "exact-math", options={"fast_path": True, "nested": False}),
        Variant("bettertransformer-nested", "exact-math", options={"fast_path": True, "nested": True}),
        Variant("bettertransformer-slow", "exact-math", options={"fast_path": False, "nested": False},
                runs=Runs.AT_ONE_SHAPE),
    )
    packages = ("torch", "transformers")

    def on(self, variant, device):
        """On a GPU the fast path's GELU is the tanh approximation (`_addmm_activation` in PyTorch's cuda/Blas.cpp)."""
        approximate = device != "cpu" and variant.options["fast_path"]
        return replace(variant, tolerance="half-precision") if approximate else variant

    def build(self, variant, model, example, placement):
        if variant.options["nested"] and "attention_mask" not in example:
            raise Refused(f"{type(model.module).__name__} accepts no attention mask: there is no padding to skip")
        return _runner(model, variant.options["fast_path"], variant.options["nested"], placement)

    def built_by(self, variant, runner):
        from eagerbench.models.encoder_layers import described

        return BuiltBy("fast_path", {"attention": "sdpa", "dtype": "float32", "fast_path": variant.options["fast_path"],
                                     "encoders": described(runner.module, variant.options["nested"])}, "module")

    def build_disengaged(self, variant, model, example, placement):
        """Nested tensors off; else the fast path the other way round."""
        return _runner(model, variant.options["nested"] or not variant.options["fast_path"], False, placement)

    def probe(self, variant, runner, inputs):
        """One profiled call: fast-path layers, and tokens that entered the first product of one."""
        from eagerbench.models.encoder_layers import encoder_layers

        layers = encoder_layers(runner.module)
        fast, nested, computed = _profiled(runner, inputs)
        mask = inputs.get("attention_mask")
        real = None if mask is None else int(mask.sum())
        facts = {"encoder_layers": len(layers), "fast_path_layers": fast, "nested_conversions": nested,
                 "tokens_computed": computed, "tokens_real": real}
        if not variant.options["fast_path"]:
            summary = f"{len(layers)} TransformerEncoderLayers, {fast} by the fast path (none expected)"
            return Engagement(bool(layers) and not fast, summary, facts)
        engaged = fast == len(layers) > 0
        summary = f"fast path in {fast} of {len(layers)} layers"
        if not variant.options["nested"]:
            return Engagement(engaged and not nested, summary, facts)
        how = "nested" if nested else "dense"
        summary += f", {how}, {computed} tokens computed for {real} real ones of {mask.size}"
        return Engagement(engaged and computed == real and bool(nested) == (real < mask.size), summary, facts)


def _runner(model, fast_path: bool, nested: bool, placement):
    import torch

    from eagerbench.backends.torch_runner import TorchRunner
    from eagerbench.models.encoder_layers import convert

    class SlowPathRunner(TorchRunner):
        """The switch is global in PyTorch: it is off during a call only."""

        def __call__(self, native):
            enabled = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
            try:
                return super().__call__(native)
            finally:
                torch.backends.mha.set_fastpath_enabled(enabled)

    # Of SDPA attention for its masks, which are boolean; its attention is not called any more.
    module = convert(model.copy("sdpa"), nested)
    return (TorchRunner if fast_path else SlowPathRunner)(module, placement.device)


def _profiled(runner, inputs) -> tuple[int, int, int | None]:
    """Of one call: fast-path layers, conversions to nested tensors, and rows of the products in fast-path layers.

    They have one row a token: batch × length of them when dense, the real ones when nested. None without a fast-path
    layer.
    """
    import torch

    native = runner.prepare(inputs)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        runner(native)
    events = profile.events()
    fast = [event for event in events if event.name == _FAST_PATH]
    rows = {event.input_shapes[_PRODUCTS[event.name]][0] for layer in fast for event in _below(layer)
            if event.name in _PRODUCTS}
    return len(fast), sum(event.name == _NESTED for event in events), max(rows, default=None)


def _below(event):
    for child in event.cpu_children:
        yield child
        yield from _below(child)


BACKEND = BetterTransformer()
