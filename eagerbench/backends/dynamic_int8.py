"""PyTorch's dynamic int8: `torch.ao.quantization.quantize_dynamic` on every linear layer, run by oneDNN."""

from eagerbench.backends.base import Backend, BuiltBy, Variant


class DynamicInt8(Backend):
    """SDPA attention, the default of transformers' users. Deprecated in PyTorch in favour of torchao, and works."""

    variants = (Variant("dynamic-int8", "quantised-coarse", "int8", {"weights": "per-channel", "engine": "onednn"}),)
    packages = ("torch", "transformers")
    devices = ("cpu",)
    builds_module = True

    def build(self, variant, model, example, placement):
        from eagerbench.backends.int8_linears import quantise, require_weights_in_linears
        from eagerbench.backends.torch_runner import TorchRunner

        quantised = quantise(model.copy("sdpa"))
        require_weights_in_linears(model, example, "quantize_dynamic")
        return TorchRunner(quantised, placement.device)

    def built_by(self, variant, runner):
        return BuiltBy("dynamic_int8", {"attention": "sdpa", "dtype": "float32",
                                        "quantized_engine": variant.options["engine"]})

    def weights_bytes(self, runner):
        from eagerbench.backends.int8_linears import packed_bytes

        return super().weights_bytes(runner) + packed_bytes(runner.module)

    def build_disengaged(self, variant, model, example, placement):
        """The same module in float32."""
        from eagerbench.backends.torch_runner import TorchRunner

        return TorchRunner(model.copy("sdpa"), placement.device)

    def probe(self, variant, runner, inputs):
        from torch.ao.nn.quantized.dynamic import Linear

        from eagerbench.backends.int8_linears import int8_engagement
        from eagerbench.backends.products import called

        native = runner.prepare(inputs)
        layers = called(runner.module, lambda part: isinstance(part, Linear), lambda: runner(native))
        return int8_engagement(runner, inputs, layers)


BACKEND = DynamicInt8()
