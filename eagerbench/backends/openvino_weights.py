"""OpenVINO with compressed weights, as its users run text generators: 8 or 4 bits, by NNCF, without data."""

from eagerbench.backends import openvino_convert
from eagerbench.backends.base import Variant
from eagerbench.backends.openvino_runtime import OpenVino


class OpenVinoWeights(OpenVino):
    """Activations stay in float32 except where a product takes them in 8 bits by itself ("dynamic quantisation", on by
    default where weights are compressed).

    Sources: that of `openvino_convert.compress`, and
    https://docs.openvino.ai/2026/openvino-workflow/running-inference/inference-devices-and-modes/cpu-device.html
    """

    variants = (
        Variant("openvino-int8-weights", "quantised", options={"bits": 8}),
        Variant("openvino-int4-weights", "quantised-coarse", options={"bits": 4}),
    )
    on_request = True

    def narrowed(self, variant, converted, model):
        return openvino_convert.compress(converted, variant.options["bits"])


BACKEND = OpenVinoWeights()
