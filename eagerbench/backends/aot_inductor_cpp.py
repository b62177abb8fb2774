"""AOTInductor's package, called from C++."""

import json
import re

from eagerbench.backends import aot_inductor
from eagerbench.backends.base import Engagement, Variant
from eagerbench.backends.cpp_runner import CppBackend, CppRunner


class AotInductorInCpp(CppRunner):
    """
    Attributes:
        linear_layers: products with a weight that the exported model has.
    """

    linear_layers = 0

    def primitives(self, inputs) -> list[str]:
        """oneDNN's lines of one call, from a second process: the timed one never logs."""
        process = self.another({"ONEDNN_VERBOSE": "1"})
        process.call(process.prepare(inputs).number)
        return process.printed().splitlines()


class AotInductorCpp(CppBackend):
    """`AOTIModelPackageLoader::run`, with inputs and outputs in the order of the exported program.

    Source: https://docs.pytorch.org/docs/stable/torch.compiler_aot_inductor.html
    """

    variants = (Variant("aot-inductor-cpp", "exact-math"),)
    python = aot_inductor.BACKEND
    runtime = "aot_inductor"

    def load(self, variant, directory, placement):
        facts = json.loads((directory / aot_inductor.FACTS).read_text())
        runner = AotInductorInCpp(variant.name, self.runtime, {
            "artifact": directory / aot_inductor.PACKAGE, "threads": placement.threads, "inputs": facts["inputs"],
            "outputs": facts["outputs"]})
        runner.linear_layers = facts["linear_layers"]
        return runner

    def evidence(self, variant, runner, inputs):
        products = [line for line in runner.primitives(inputs)
                    if re.search(r"^onednn_verbose.*,exec,.*,(matmul|inner_product),", line)]
        facts = {"packed_products": len(products), "linear_layers": runner.linear_layers,
                 "cpu_isa": runner.facts()[0]["cpu_isa"]}
        summary = "compiled package for {cpu_isa}, {packed_products} packed products for {linear_layers} linear layers"
        return Engagement(2 * len(products) >= runner.linear_layers, summary.format(**facts), facts)


BACKEND = AotInductorCpp()
