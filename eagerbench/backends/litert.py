"""LiteRT, TensorFlow Lite's runtime, on its XNNPACK delegate: one .tflite file for each shape. In an environment of its
own."""

import contextlib
import io
import json
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np

from eagerbench.backends.artifacts import saving
from eagerbench.backends.base import Engagement, ExportingBackend, Runs, Variant

_FILE, _FACTS = "model.tflite", "facts.json"


class LiteRt(ExportingBackend):
    """Converted by litert-torch, from SDPA attention; XNNPACK takes no sizes that change.

    int8: ai-edge-quantizer's `dynamic_wi8_afp32`, one scale a row of weights and one a token.
    Source: https://ai.google.dev/edge/litert/conversion/pytorch/overview
    """

    variants = (Variant("litert", "exact-math", runs=Runs.WHEN_NAMED),
                Variant("litert-int8", "quantised", "int8", runs=Runs.WHEN_NAMED))
    packages = ("ai_edge_litert", "litert_torch", "ai_edge_quantizer", "torch", "transformers")
    devices = ("cpu",)
    per_workload = True
    costly = True
    install = "make env-litert"

    def export(self, variant, model, example, directory):
        _export(variant, model, example, directory)

    def load(self, variant, directory, placement):
        return _runner(directory, placement.threads)

    def build_disengaged(self, variant, model, example, placement):
        """LiteRT's own kernels without the delegate; for int8 the float32 build."""
        with tempfile.TemporaryDirectory() as scratch:
            _export(self.variants[0], model, example, Path(scratch))
            return _runner(Path(scratch), placement.threads, delegated=variant.dtype != "float32")

    def probe(self, variant, runner, inputs):
        """Read from the interpreter: engaged when the delegate has every product, in int8 where weights are to be."""
        found = runner.nodes()
        facts = {"delegates": found["delegates"], "operators": found["operators"], "operators_left": found["left"],
                 "linear_layers": runner.linear_layers, "delegated_products": found["products"],
                 "delegated_int8_products": found["int8_products"]}
        multiplied = found["int8_products"] if variant.dtype == "int8" else found["products"]
        engaged = (multiplied >= runner.linear_layers and found["delegates"] > 0
                   and (variant.dtype == "int8" or not found["int8_products"]))
        return Engagement(engaged, "{delegated_products} products by XNNPACK ({delegated_int8_products} with int8 "
                                   "weights) for {linear_layers} linear layers; {operators_left} of {operators} "
                                   "operators left to LiteRT's own kernels".format(**facts), facts)


def _export(variant, model, example, directory):
    import litert_torch
    import torch

    from eagerbench.backends.exporting import Called, Named
    from eagerbench.backends.products import products
    from eagerbench.backends.torch_runner import TorchRunner, named_tensors

    module = model.fresh()
    eager = TorchRunner(module, model.device)
    native = eager.prepare(example)
    with _quietly(), torch.no_grad():
        converted = litert_torch.convert(Called(Named(model.copy("sdpa"))).eval(), sample_kwargs=dict(native))
        content = converted.model_content()
        if variant.dtype == "int8":
            from ai_edge_quantizer import quantizer, recipe

            content = quantizer.Quantizer(bytearray(content), recipe.dynamic_wi8_afp32()).quantize().quantized_model
    with saving():
        (directory / _FILE).write_bytes(content)
    (directory / _FACTS).write_text(json.dumps({
        "outputs": list(named_tensors(eager(native))),
        "linear_layers": products(module, lambda: eager(native)).weighted}))


@contextlib.contextmanager
def _quietly():
    """The converter's progress goes to the terminal, its messages through absl."""
    nowhere = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _runner(directory, threads, delegated=True):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    facts = json.loads((directory / _FACTS).read_text())
    resolver = OpResolverType.BUILTIN if delegated else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return SignatureRunner(Interpreter(str(directory / _FILE), num_threads=threads,
                                       experimental_op_resolver_type=resolver), facts, threads)


class SignatureRunner:
    """The interpreter's own signature runner: arrays by name in, arrays by name out.

    Args:
        facts: what the export wrote: names of the outputs in order, and `linear_layers` of the reference.
        threads: given to the interpreter, which does not say how many it has.
    """

    def __init__(self, interpreter, facts, threads):
        self._interpreter = interpreter
        self._call = interpreter.get_signature_runner()
        self._types = {name: details["dtype"] for name, details in self._call.get_input_details().items()}
        self._outputs = facts["outputs"]
        self.linear_layers = facts["linear_layers"]
        self.threads = threads

    def prepare(self, inputs):
        """Ids as LiteRT has them, 32 bits wide."""
        return {name: np.ascontiguousarray(inputs[name], dtype) for name, dtype in self._types.items()}

    def __call__(self, native):
        return self._call(**native)

    def arrays(self, outputs):
        return {name: np.array(outputs[name], np.float32) for name in self._outputs}

    def nodes(self):
        """Counts of the operators: how many delegates have taken up which products, and what is left of the others.

        The interpreter keeps what a delegate has taken beside it: a node is left when something that is wanted comes
        from no other.
        """
        nodes = self._interpreter._get_ops_details()
        delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
        others = [node for node in nodes if node["op_name"] != "DELEGATE"]
        maker = {tensor: node for node in (*others, *delegates) for tensor in node["outputs"]}
        wanted, left = [details["index"] for details in self._interpreter.get_output_details()], {}
        while wanted:
            node = maker.get(wanted.pop())
            if node is not None and node["index"] not in left:
                left[node["index"]] = node
                wanted += list(node["inputs"])
        taken = [node for node in others if node["index"] not in left]
        products = [node for node in taken if node["op_name"] == "FULLY_CONNECTED"]
        return {"delegates": len(delegates), "operators": len(others),
                "left": sum(node["op_name"] != "DELEGATE" for node in left.values()), "products": len(products),
                "int8_products": sum(np.int8 in node["operand_types"] for node in products)}


BACKEND = LiteRt()
