"""OpenVINO, called from C++."""

from functools import cached_property

from eagerbench.backends import openvino_request, openvino_runtime
from eagerbench.backends.base import Variant
from eagerbench.backends.cpp_runner import CppBackend, CppRunner


class OpenVinoInCpp(CppRunner):
    """What the probe of OpenVINO asks a runner."""

    @cached_property
    def products(self) -> openvino_request.Products:
        return openvino_request.Products(self._config["artifact"])

    @property
    def precision(self) -> str:
        return self.facts()[0]["precision"]

    @property
    def native_bf16(self) -> bool:
        return self.facts()[0]["native_bf16"] == "1"

    def nodes(self) -> list[dict[str, str]]:
        return self.facts()[1:]


class OpenVinoCpp(CppBackend):
    """`ov::InferRequest::infer` on tensors that hold the inputs.

    Source: https://docs.openvino.ai/2026/openvino-workflow/running-inference.html
    """

    variants = (
        Variant("openvino-cpp", "exact-math"),
        Variant("openvino-int8-cpp", "quantised", "int8"),
    )
    python = openvino_runtime.BACKEND
    runtime = "openvino"

    def load(self, variant, directory, placement):
        return OpenVinoInCpp(variant.name, self.runtime, {
            "artifact": directory / openvino_runtime.FILE, "threads": placement.threads,
            "precision": openvino_runtime.PRECISIONS[variant.dtype]})


BACKEND = OpenVinoCpp()
