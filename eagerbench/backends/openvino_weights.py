"""OpenVINO with compressed weights, as its users run text generators: 8 or 4 bits, by NNCF, without data."""

from eagerbench.backends import openvino_convert
from eagerbench.backends.base import Engagement, Runs, Variant
from eagerbench.backends.openvino_request import RequestRunner
from eagerbench.backends.openvino_runtime import OpenVino

# Facts of the probe: products by the type of their weights.
NARROW = {8: ("products_i8", "products_u8"), 4: ("products_i4", "products_u4")}


class OpenVinoWeights(OpenVino):
    """Activations stay in float32 except where a product takes them in 8 bits by itself ("dynamic quantisation", on by
    default where weights are compressed).

    Sources: that of `openvino_convert.compress`, and
    https://docs.openvino.ai/2026/openvino-workflow/running-inference/inference-devices-and-modes/cpu-device.html
    """

    variants = (
        Variant("openvino-int8-weights", "quantised", options={"bits": 8}, runs=Runs.WHEN_NAMED),
        Variant("openvino-int4-weights", "quantised-coarse", options={"bits": 4}, runs=Runs.WHEN_NAMED),
    )

    def narrowed(self, variant, converted, model):
        return openvino_convert.compress(converted, variant.options["bits"])

    def cannot_generate(self, variant, cache):
        return None if cache == "dynamic" else super().cannot_generate(variant, cache)

    def build_disengaged(self, variant, model, example, placement):
        """With the weights as they are."""
        return RequestRunner(openvino_convert.convert(model, example), "f32", placement.threads)

    def probe(self, variant, runner, inputs):
        """Engaged when most matrix products took weights of so many bits, as OpenVINO names their precision."""
        found = super().probe(variant, runner, inputs)
        narrow = sum(found.facts.get(name, 0) for name in NARROW[variant.options["bits"]])
        return Engagement(runner.precision == "f32" and 2 * narrow > found.facts["products"], found.summary,
                          {"narrow_products": narrow, **found.facts})


BACKEND = OpenVinoWeights()
