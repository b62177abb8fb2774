"""bitsandbytes through transformers: 4-bit weights (fp4, nf4, nf4 with its scales quantised too) and LLM.int8()."""

from eagerbench.backends.base import Backend, BuiltBy, Engagement, Placement, Runs, Variant


class BitsAndBytes(Backend):
    """SDPA attention, computing in float32; the task head stays unquantised.

    Sources: https://huggingface.co/docs/transformers/quantization/bitsandbytes, QLoRA (arXiv 2305.14314),
    LLM.int8() (arXiv 2208.07339).
    """

    variants = (
        Variant("bnb-fp4", "quantised-coarse", options={"bits": 4, "format": "fp4", "double": False}),
        Variant("bnb-nf4", "quantised-coarse", options={"bits": 4, "format": "nf4", "double": False}),
        Variant("bnb-nf4-double", "quantised-coarse", options={"bits": 4, "format": "nf4", "double": True},
                runs=Runs.AT_ONE_SHAPE),
        Variant("bnb-int8", "quantised", "int8", {"bits": 8, "format": "int8", "double": False}),
    )
    packages = ("bitsandbytes", "accelerate", "torch", "transformers")
    install = "pip install -e '.[bitsandbytes]'"
    builds_module = True
    saves_quantised = True

    def build(self, variant, model, example, placement):
        from eagerbench.backends.bitsandbytes_layers import load_quantised

        return load_quantised(model, example, placement, **variant.options)

    def save_quantised(self, variant, model, directory):
        from eagerbench.backends.bitsandbytes_layers import quantised_module

        quantised_module(model, Placement(model.device, 1), **variant.options).save_pretrained(directory)

    def load_quantised(self, variant, directory, placement):
        from eagerbench.backends.bitsandbytes_layers import load_checkpoint

        return load_checkpoint(directory, placement)

    def built_by(self, variant, runner):
        sdpa = getattr(runner.module, "_supports_sdpa", False)
        return BuiltBy("bitsandbytes", {"attention": "sdpa" if sdpa else "eager", "dtype": "float32"}, "quantised",
                       (*BuiltBy.packages, "bitsandbytes", "accelerate"))

    def weights_bytes(self, runner):
        from eagerbench.backends.bitsandbytes_layers import footprint_bytes

        return footprint_bytes(runner.module)

    def build_disengaged(self, variant, model, example, placement):
        """The other 4-bit format, single for double; float32 for int8."""
        from eagerbench.backends.torch_runner import TorchRunner

        if variant.options["bits"] == 8:
            return TorchRunner(model.copy("sdpa"), placement.device)
        other = {"bnb-fp4": "bnb-nf4", "bnb-nf4": "bnb-fp4", "bnb-nf4-double": "bnb-nf4"}[variant.name]
        return self.build(next(v for v in self.variants if v.name == other), model, example, placement)

    def probe(self, variant, runner, inputs):
        from eagerbench.backends import bitsandbytes_layers as layers
        from eagerbench.backends.products import called
        from eagerbench.backends.torch_runner import linear_layers

        found = layers.quantised_layers(runner.module)
        wanted = layers.kind(**variant.options)
        kernels = layers.kernels(runner, inputs)
        size = layers.footprint_bytes(runner.module)
        facts = {"quantised_layers": found[wanted], "layers_left": linear_layers(runner.module) - sum(found.values()),
                 "footprint_bytes": size, "footprint_ratio": size / getattr(runner, "float32_bytes", size), **kernels}
        by_bits = layers.PRODUCTS if runner.device == "cpu" else layers.PRODUCTS_ON_GPU
        products = sum(kernels[name] for name in by_bits[variant.options["bits"]] if name in kernels)
        native = runner.prepare(inputs)
        needed = called(runner.module, layers.is_quantised, lambda: runner(native))
        engaged = set(found) == {wanted} and products >= needed > 0
        summary = (f"{found[wanted]} {wanted} layers ({facts['layers_left']} left in float32), "
                   f"{products} products by bitsandbytes, {facts['footprint_ratio']:.2f} of the float32 bytes")
        return Engagement(engaged, summary, facts)


BACKEND = BitsAndBytes()
