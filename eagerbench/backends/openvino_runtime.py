"""OpenVINO on the CPU: float32, bf16, and int8 after NNCF's post-training quantisation."""

import collections
from pathlib import Path
from typing import Any

import numpy as np

from eagerbench.backends import bf16, openvino_convert
from eagerbench.backends.artifacts import saving
from eagerbench.backends.base import Engagement, ExportingBackend, OpenedBy, Variant
from eagerbench.errors import CannotRun

FILE = "model.xml"
PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}  # of what is not quantised
_PRODUCTS = ("FullyConnected", "MatMul", "Convolution")
_PRODUCT_OPERATORS = ("MatMul", "Convolution", "GroupConvolution")
_ACTIVATIONS = ("Relu", "Gelu", "Swish", "Sigmoid", "Tanh", "HSwish", "Elu")


def settings(precision: str, threads: int, hint: str = "LATENCY") -> dict[str, str | int]:
    """What `compile_model` gets: for latency one stream, all threads for one call; for throughput as many streams as
    OpenVINO makes of the threads."""
    streams = {"NUM_STREAMS": "1"} if hint == "LATENCY" else {}
    return {"PERFORMANCE_HINT": hint, **streams, "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision}


class RequestRunner:
    """`InferRequest.infer` on numpy arrays, which OpenVINO reads and writes in place.

    Args:
        model: path of an `.xml` file, or an `openvino.Model`.
        precision: `f32` or `bf16`. Never left to OpenVINO: it takes bf16 where the processor has it.
        fuse: False makes every intermediate value an output, so that no operator can be merged into the next.
        hint: `LATENCY` or `THROUGHPUT`.
        more: further properties of `compile_model`.
    """

    def __init__(self, model: Any, precision: str, threads: int, fuse: bool = True, hint: str = "LATENCY", **more: str):
        self._core = openvino_convert.package().Core()
        if isinstance(model, Path):
            model = self._core.read_model(model)
        self._names = [output.get_any_name() for output in model.outputs]
        self.products = Products(model)
        if not fuse:
            inner = [op for op in model.get_ops() if op.get_type_name() not in ("Parameter", "Constant", "Result")]
            model.add_outputs([output for op in inner for output in op.outputs()])
        self._compiled = self._core.compile_model(model, "CPU", {**settings(precision, threads, hint), **more})
        self._accepted = [entry.get_any_name() for entry in self._compiled.inputs]
        self._request = self._compiled.create_infer_request()

    def prepare(self, inputs):
        return {name: np.require(inputs[name], requirements=["C", "W"]) for name in self._accepted}

    def __call__(self, native):
        return self._request.infer(native, share_inputs=True, share_outputs=True)

    def arrays(self, outputs):
        """Copies: the next call overwrites what a call returned."""
        return {name: np.array(value, np.float32) for name, value in zip(self._names, outputs.values(), strict=False)}

    @property
    def threads(self) -> int:
        return self._compiled.get_property("INFERENCE_NUM_THREADS")

    @property
    def precision(self) -> str:
        """Name of the type that the compiled model computes in where it is not quantised."""
        return self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()

    @property
    def streams(self) -> int:
        """How many calls run side by side, each with its share of the threads."""
        return self._compiled.get_property("NUM_STREAMS")

    @property
    def fixed_shapes(self) -> bool:
        """Whether it is compiled for one shape of every input."""
        return not any(entry.get_partial_shape().is_dynamic for entry in self._compiled.inputs)

    @property
    def native_bf16(self) -> bool:
        """Whether OpenVINO counts bf16 among this processor's capabilities; without it, it emulates."""
        return "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def nodes(self) -> list[dict[str, str]]:
        """What OpenVINO made of the model: each node's type, precision, kernel and the operators merged in it.

        Kernels are known after the first call. Keys:
        https://docs.openvino.ai/2026/openvino-workflow/running-inference/inspect-runtime-model.html
        """
        return [{key: str(getattr(value, "value", value)) for key, value in op.get_rt_info().items()}
                for op in self._compiled.get_runtime_model().get_ops()]


class Products:
    """Matrix products of a model as it is converted: their names, and how many could take up what follows them.

    Args:
        model: path of an `.xml` file, or an `openvino.Model`.
    """

    def __init__(self, model: Any):
        if isinstance(model, Path):
            model = openvino_convert.package().Core().read_model(model)
        self._names = {op.get_friendly_name() for op in model.get_ops() if op.get_type_name() in _PRODUCT_OPERATORS}
        self.fusable = sum(map(_is_fusable, model.get_ops()))

    def is_fused(self, product: dict[str, str]) -> bool:
        """Whether a matrix product took up its bias or activation: its name is not that of a bare product."""
        return product["originalLayersNames"] not in self._names


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
    def save(converted: Any, directory: Path) -> None:
        with saving():
            openvino_convert.package().save_model(converted, directory / FILE, compress_to_fp16=False)

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


def _is_fusable(op: Any) -> bool:
    """Whether an operator is a product with a weight, followed by a bias or an activation that it can take up."""
    if op.get_type_name() not in _PRODUCT_OPERATORS:
        return False
    if not any(_is_constant(op.input_value(side).get_node()) for side in (0, 1)):
        return False
    followers = [target.get_node() for target in op.output(0).get_target_inputs()]
    if len(followers) != 1:
        return False
    follower = followers[0]
    return follower.get_type_name() in _ACTIVATIONS or (follower.get_type_name() == "Add" and any(
        _is_constant(value.get_node()) for value in follower.input_values()))


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
            and any(_is_constant(product.input_value(1).get_node()) for product in products))


def _processor_flags() -> frozenset[str]:
    """As Linux names them; empty elsewhere."""
    return bf16.flags()


def _is_constant(node: Any) -> bool:
    """A constant, as it is, through conversions of its type and order, or scaled as compressed weights are."""
    name = node.get_type_name()
    if name in ("Convert", "Transpose", "Reshape") and node.get_input_size():
        return _is_constant(node.input_value(0).get_node())
    if name in ("Multiply", "Subtract"):
        return all(_is_constant(value.get_node()) for value in node.input_values())
    return name == "Constant"


BACKEND = OpenVino()
