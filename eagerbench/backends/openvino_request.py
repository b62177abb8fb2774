"""One request of a compiled OpenVINO model, and what OpenVINO made of the model."""

from pathlib import Path
from typing import Any

import numpy as np

from eagerbench.backends import openvino_convert

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


def _is_fusable(op: Any) -> bool:
    """Whether an operator is a product with a weight, followed by a bias or an activation that it can take up."""
    if op.get_type_name() not in _PRODUCT_OPERATORS:
        return False
    if not any(is_constant(op.input_value(side).get_node()) for side in (0, 1)):
        return False
    followers = [target.get_node() for target in op.output(0).get_target_inputs()]
    if len(followers) != 1:
        return False
    follower = followers[0]
    return follower.get_type_name() in _ACTIVATIONS or (follower.get_type_name() == "Add" and any(
        is_constant(value.get_node()) for value in follower.input_values()))


def is_constant(node: Any) -> bool:
    """A constant, as it is, through conversions of its type and order, or scaled as compressed weights are."""
    name = node.get_type_name()
    if name in ("Convert", "Transpose", "Reshape") and node.get_input_size():
        return is_constant(node.input_value(0).get_node())
    if name in ("Multiply", "Subtract"):
        return all(is_constant(value.get_node()) for value in node.input_values())
    return name == "Constant"
