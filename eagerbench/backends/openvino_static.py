"""OpenVINO with static shapes: the model reshaped to the workload's inputs before it is compiled."""

from eagerbench.backends import openvino_convert, openvino_runtime
from eagerbench.backends.base import Backend, Engagement, Runs, Variant
from eagerbench.backends.openvino_request import RequestRunner
from eagerbench.backends.openvino_runtime import FILE, PRECISIONS, OpenVino


class StaticRunner(RequestRunner):
    """Of one shape: OpenVINO refuses every other, so that nothing is ever compiled again."""

    recompilations = 0


class OpenVinoStatic(OpenVino):
    """Source: https://docs.openvino.ai/2026/openvino-workflow/model-preparation/setting-input-shapes.html"""

    variants = (
        Variant("openvino-static", "exact-math", runs=Runs.WHEN_NAMED),
        Variant("openvino-bf16-static", "reduced-precision", "bfloat16", runs=Runs.WHEN_NAMED),
        Variant("openvino-int8-static", "quantised", "int8", runs=Runs.WHEN_NAMED),
    )
    per_workload = True
    unpackaged = "it runs inputs of one shape, and texts have others; package the variant without -static"

    def export(self, variant, model, example, directory):
        converted = self.narrowed(variant, openvino_convert.convert(model, example), model)
        known = {name for entry in converted.inputs for name in entry.get_names()}
        converted.reshape({name: list(array.shape) for name, array in example.items() if name in known})
        self.save(converted, directory)

    def cannot_generate(self, variant, cache):
        return Backend.cannot_generate(self, variant, cache)

    def load(self, variant, directory, placement):
        openvino_runtime.refuse_crash(variant, directory / FILE, placement.threads)
        return StaticRunner(directory / FILE, PRECISIONS[variant.dtype], placement.threads)

    def opened_by(self, variant, placement):
        return None

    def build_disengaged(self, variant, model, example, placement):
        """With all sizes of token inputs dynamic, and in float32."""
        return RequestRunner(openvino_convert.convert(model, example), "f32", placement.threads)

    def probe(self, variant, runner, inputs):
        """Engaged when every input has one shape, and the kernels are those of the variant without the suffix."""
        found = super().probe(variant, runner, inputs)
        how = "one shape" if runner.fixed_shapes else "dynamic shapes"
        return Engagement(found.engaged and runner.fixed_shapes, f"{how}; {found.summary}",
                          {"fixed_shapes": runner.fixed_shapes, **found.facts})


BACKEND = OpenVinoStatic()
