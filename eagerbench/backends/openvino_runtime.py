"""OpenVINO on the CPU: float32, bf16, and int8 after NNCF's post-training quantisation."""

import collections
from pathlib import Path
from typing import Any

from eagerbench.backends import bf16, openvino_convert
from eagerbench.backends.artifacts import saving
from eagerbench.backends.base import Engagement, ExportingBackend, OpenedBy, Variant
from eagerbench.backends.openvino_request import RequestRunner, is_constant, settings
from eagerbench.errors import CannotRun

FILE = "model.xml"
PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}  # of what is not quantised
_PRODUCTS = ("FullyConnected", "MatMul", "Convolution")


class OpenVino(ExportingBackend):
    """Converted from the PyTorch module with all sizes of token inputs dynamic, weights in float32.

    Sources: https://docs.openvino.ai/2026/openvino-workflow/model-preparation/convert-model-pytorch.html,
    https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training.html
    """

    variants = (
        Variant("openvino", "exact-math"),
        Variant("openvino-bf16", "reduced-precision", "bfloat16"),
        Variant("openvino-int8", "quantised", "int8"),
    )
    packages = ("openvino", "nncf", "torch", "transformers")
    devices = ("cpu",)
    costly = True
    install = "pip install -e '.[openvino]'"

    def export(self, variant, model, example, directory):
        self.save(self.narrowed(variant, openvino_convert.convert(model, example), model), directory)
        openvino_convert.write_axes(model, directory)

    def narrowed(self, variant: Variant, converted: Any, model: Any) -> Any:
        """A converted model with what the variant quantises."""
        return openvino_convert.quantise(converted, model) if variant.dtype == "int8" else converted

    @staticmethod
    def save(converted: Any, directory: Path, file: str = FILE) -> None:
        with saving():
            openvino_convert.package().save_model(converted, directory / file, compress_to_fp16=False)

    def cannot_generate(self, variant, cache):
        if cache == "static":
            return "converted with a state that grows: it generates with a dynamic cache or none"
        if cache == "dynamic" and variant.dtype == "int8":
            return "quantised without past key values: it generates without a cache only"
        return None

    def generator(self, variant, runner, model, cache, placement):
        """With a cache, another conversion, which keeps keys and values as its state."""
        if cache == "none":
            return super().generator(variant, runner, model, cache, placement)
        from eagerbench.backends.generating import stateful
        from eagerbench.backends.openvino_stateful import StatefulRunner

        converted = self.narrowed(variant, openvino_convert.convert_stateful(model), model)
        refuse_crash(variant, converted, placement.threads)
        return stateful(model, StatefulRunner(converted, PRECISIONS[variant.dtype], placement.threads).step)

    def opened_by(self, variant, placement):
        return OpenedBy("openvino", FILE, settings(PRECISIONS[variant.dtype], placement.threads))

    def load(self, variant, directory, placement):
        refuse_crash(variant, directory / FILE, placement.threads)
        return RequestRunner(directory / FILE, PRECISIONS[variant.dtype], placement.threads)

    def build_disengaged(self, variant, model, example, placement):
        """float32 without fusions; for bf16 and int8 the float32 build, with them."""
        converted = openvino_convert.convert(model, example)
        return RequestRunner(converted, "f32", placement.threads, fuse=variant.dtype != "float32")

    def probe(self, variant, runner, inputs):
        """Float32 is engaged when products took up what follows them, or when nothing that they could follows."""
        nodes = runner.nodes()
        products = [node for node in nodes if node["layerType"] in _PRODUCTS]
        by_type = collections.Counter(node["runtimePrecision"] for node in products)
        attention = [node for node in nodes if node["layerType"] == "ScaledDotProductAttention"
                     or (node["layerType"] == "Subgraph" and "softmax" in node["originalLayersNames"].lower())]
        quantised = by_type["i8"] + by_type["u8"]
        facts = {"precision": runner.precision, "products": len(products), "quantised_products": quantised,
                 **{f"products_{name}": count for name, count in sorted(by_type.items())},
                 "fused_products": sum(map(runner.products.is_fused, products)), "fused_attention": len(attention),
                 "softmax_left": sum(node["layerType"] == "Softmax" for node in nodes),
                 "kernels": sorted({node["primitiveType"] for node in products})}
        if variant.dtype == "int8":
            engaged = 2 * quantised > len(products)
        elif variant.dtype == "bfloat16":
            facts["native_bf16"] = runner.native_bf16
            engaged = runner.precision == "bf16" and 2 * by_type["bf16"] > len(products) and runner.native_bf16
        else:
            facts["fusable_products"] = runner.products.fusable
            engaged = (runner.precision == "f32" and set(by_type) <= {"f32"}
                       and (facts["fused_products"] > 0 or not runner.products.fusable))
        counts = ", ".join(f"{count} in {name}" for name, count in sorted(by_type.items()))
        fused = (f"{facts['fused_products']} with bias or activation" if runner.products.fusable
                 else "no bias or activation to take up")
        summary = (f"matrix products: {counts or 'none'}, {fused}; "
                   f"{len(attention)} fused attention blocks, {facts['softmax_left']} not")
        return Engagement(engaged, summary, facts)


def refuse_crash(variant: Variant, model: Any, threads: int, advice: str = "add --threads 2") -> None:
    """OpenVINO divides by zero, in native code, where it fuses gated units for AMX on one thread:
    https://github.com/openvinotoolkit/openvino/issues/33300.

    Raises:
        CannotRun: this would be such a case.
    """
    if not (variant.dtype == "bfloat16" and threads == 1 and "amx_bf16" in _processor_flags()):
        return
    if isinstance(model, Path):
        model = openvino_convert.package().Core().read_model(model)
    if any(map(_is_gate, model.get_ops())):
        raise CannotRun("OpenVINO crashes on models with gated units in bf16 on one thread with AMX (its issue 33300): "
                        f"{advice}")


def _is_gate(op: Any) -> bool:
    """Whether an operator multiplies an activation of one product with a weight by another one, as LLaMA's units do."""
    if op.get_type_name() != "Multiply":
        return False
    sides = [value.get_node() for value in op.input_values()]
    products = [side for side in sides if side.get_type_name() == "MatMul"]
    return (any(side.get_type_name() in ("Swish", "Gelu") for side in sides)
            and any(is_constant(product.input_value(1).get_node()) for product in products))


def _processor_flags() -> frozenset[str]:
    """As Linux names them; empty elsewhere."""
    return bf16.flags()


BACKEND = OpenVino()
