"""AOTInductor: exported by torch.export, compiled ahead of time into a package that runs without a compiler."""

import json
import re
import warnings

from eagerbench.backends.base import Engagement, ExportingBackend, OpenedBy, Variant
from eagerbench.backends.torch_compile import no_compiler
from eagerbench.machine import plain_paths

PACKAGE, FACTS = "model.pt2", "facts.json"
# Loops ask for OpenMP's thread count when they run: a package does not know how many its process will have.
_OPTIONS = {"freezing": True, "cpp.dynamic_threads": True}


class AotInductor(ExportingBackend):
    """One package for all batch sizes and sequence lengths, exported from SDPA attention.

    Source: https://docs.pytorch.org/docs/stable/torch.compiler_aot_inductor.html
    """

    variants = (Variant("aot-inductor", "exact-math", options=_OPTIONS),)
    packages = ("torch", "transformers")
    devices = ("cpu",)
    costly = True

    def unavailable(self, variant, device):
        return super().unavailable(variant, device) or no_compiler(device)

    def export(self, variant, model, example, directory):
        import torch
        from torch._inductor import aoti_compile_and_package

        from eagerbench.backends.exporting import exported
        from eagerbench.backends.products import products
        from eagerbench.backends.torch_runner import TorchRunner, named_tensors

        plain_paths.for_inductor()
        module = model.fresh()
        eager = TorchRunner(module, model.device)
        native = eager.prepare(example)
        weighted = products(module, lambda: eager(native)).weighted
        program = exported(model, example)
        with torch.no_grad(), warnings.catch_warnings():  # with gradients on, inductor does not freeze
            warnings.simplefilter("ignore")
            aoti_compile_and_package(program, package_path=str(directory / PACKAGE),
                                     inductor_configs=dict(variant.options))
        names = {"inputs": list(native), "outputs": list(named_tensors(eager(native)))}  # in the program's order
        (directory / FACTS).write_text(json.dumps({"linear_layers": weighted, **names}))

    def opened_by(self, variant, placement):
        return OpenedBy("aot-inductor", PACKAGE)

    def load(self, variant, directory, placement):
        from torch._inductor import aoti_load_package

        layers = json.loads((directory / FACTS).read_text())["linear_layers"]
        return _runner(aoti_load_package(str(directory / PACKAGE)), placement.device, layers)

    def build_disengaged(self, variant, model, example, placement):
        """The exported program, not compiled."""
        from eagerbench.backends.exporting import exported

        return _runner(exported(model, example).module(), placement.device, 0)

    def probe(self, variant, runner, inputs):
        """Compiled: nothing but the package's own code and what it calls runs. Frozen: oneDNN takes the weights
        that were packed at export; unpacked ones would go to MKL."""
        from torch.export.pt2_archive._package import AOTICompiledModel

        from eagerbench.backends.torch_runner import onednn_primitives

        if not isinstance(runner.module, AOTICompiledModel):
            return Engagement(False, f"a {type(runner.module).__name__}, not a compiled package")
        products = [line for line in onednn_primitives(runner, inputs) if re.search(r",(matmul|inner_product),", line)]
        facts = {"packed_products": len(products), "linear_layers": runner.linear_layers,
                 "cpu_isa": runner.module.loader.get_metadata().get("AOTI_CPU_ISA", "")}
        summary = "compiled package for {cpu_isa}, {packed_products} packed products for {linear_layers} linear layers"
        return Engagement(2 * len(products) >= runner.linear_layers, summary.format(**facts), facts)


def _runner(program, device: str, linear_layers: int):
    """A TorchRunner of a program whose one argument is the dict of inputs."""
    import torch

    from eagerbench.backends.torch_runner import TorchRunner

    class ProgramRunner(TorchRunner):
        def __call__(self, native):
            with torch.inference_mode():
                return self.module(native)

    runner = ProgramRunner(program, device)
    runner.linear_layers = linear_layers
    return runner


BACKEND = AotInductor()
