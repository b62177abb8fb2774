"""ExecuTorch on XNNPACK: exported to a .pte file for one shape, run by its runtime. In an environment of its own."""

import json
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np

from eagerbench.backends.artifacts import saving
from eagerbench.backends.base import Engagement, ExportingBackend, Runs, Variant

_FILE, _FACTS = "model.pte", "facts.json"
_DYNAMIC = "dynamic_activations"


class ExecuTorch(ExportingBackend):
    """From SDPA attention. A program's memory is planned for the largest shape that it takes, hence one for each.

    int8 is for the linear layers: weights have one scale a row; activations one a tensor, calibrated, or one a token,
    found at each call (`-dynamic`).
    Source: https://docs.pytorch.org/executorch/stable/backends/xnnpack/xnnpack-overview.html
    """

    variants = (
        Variant("executorch", "exact-math", runs=Runs.WHEN_NAMED),
        Variant("executorch-int8", "quantised", "int8", {_DYNAMIC: False}, Runs.WHEN_NAMED),
        Variant("executorch-int8-dynamic", "quantised", "int8", {_DYNAMIC: True}, Runs.WHEN_NAMED),
    )
    packages = ("executorch", "torch", "transformers", "torchao")
    devices = ("cpu",)
    per_workload = True
    costly = True
    install = "make env-executorch"

    def export(self, variant, model, example, directory):
        _export(variant, model, example, directory)

    def load(self, variant, directory, placement):
        return _runner(directory, placement.threads)

    def build_disengaged(self, variant, model, example, placement):
        """Everything by ExecuTorch's portable kernels; for int8 the float32 build."""
        with tempfile.TemporaryDirectory() as scratch:
            _export(self.variants[0], model, example, Path(scratch), delegated=variant.dtype != "float32")
            return _runner(Path(scratch), placement.threads)

    def probe(self, variant, runner, inputs):
        """Read from the program: engaged when XNNPACK multiplies all weights, in int8 where they are to be."""
        from eagerbench.backends.executorch_program import contents

        found = contents(runner.program)
        facts = {"xnnpack_calls": found.delegate_calls, "portable_calls": found.kernel_calls,
                 "portable_operators": found.operators, "linear_layers": runner.linear_layers,
                 "xnnpack_products": found.products, "xnnpack_int8_products": found.int8_products}
        multiplied = found.int8_products if variant.dtype == "int8" else found.products
        engaged = (found.delegate_calls > 0 and multiplied >= runner.linear_layers
                   and (variant.dtype == "int8" or not found.int8_products))
        return Engagement(engaged, "{xnnpack_products} products by XNNPACK ({xnnpack_int8_products} in int8) for "
                                   "{linear_layers} linear layers, in {xnnpack_calls} calls; {portable_calls} portable "
                                   "kernels between them".format(**facts), facts)


def _export(variant, model, example, directory, delegated=True):
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.utils.configs import get_xnnpack_edge_compile_config
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    from eagerbench.backends.exporting import Named, export_quietly, quantised
    from eagerbench.backends.products import products
    from eagerbench.backends.torch_runner import TorchRunner, named_tensors

    module = model.fresh()
    eager = TorchRunner(module, model.device)
    native = eager.prepare(example)
    if variant.dtype == "int8":
        dynamic = variant.options[_DYNAMIC]
        graph = quantised(model, _quantizer(dynamic), calibrated=not dynamic)
    else:
        graph = Named(model.copy("sdpa")).eval()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            edge = to_edge_transform_and_lower(
                export_quietly(graph, native), partitioner=[XnnpackPartitioner()] if delegated else None,
                compile_config=get_xnnpack_edge_compile_config() if delegated else
                EdgeCompileConfig(_check_ir_validity=False))
            program = edge.to_executorch()
    finally:
        logging.disable(logging.NOTSET)
    with saving():
        (directory / _FILE).write_bytes(program.buffer)
    (directory / _FACTS).write_text(json.dumps({
        "inputs": list(native), "outputs": list(named_tensors(eager(native))),
        "linear_layers": products(module, lambda: eager(native)).weighted}))


def _quantizer(dynamic: bool):
    """For the linear layers alone: it would turn whole numbers that index something into fractions beside them."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    class LinearQuantizer(XNNPACKQuantizer):
        def transform_for_annotation(self, model):
            return model

    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
    return LinearQuantizer().set_operator_type(torch.ops.aten.linear.default, config)


def _runner(directory, threads):
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    facts = json.loads((directory / _FACTS).read_text())
    portable_lib._unsafe_reset_threadpool(threads)

    class ProgramRunner:
        """`Method.execute` on a list of tensors."""

        program = (directory / _FILE).read_bytes()
        linear_layers = facts["linear_layers"]

        def __init__(self):
            self._loaded = Runtime.get().load_program(self.program)
            self._method = self._loaded.load_method("forward")

        def prepare(self, inputs):
            return [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in facts["inputs"]]

        def __call__(self, native):
            return self._method.execute(native)

        def arrays(self, outputs):
            return {name: tensor.float().numpy().copy() for name, tensor in zip(facts["outputs"], outputs, strict=True)}

        @property
        def threads(self):
            return portable_lib._threadpool_get_thread_count()

    return ProgramRunner()


BACKEND = ExecuTorch()
