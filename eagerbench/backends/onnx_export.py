"""From a reference module to an ONNX file, made once for all variants that start from it."""

import atexit
import collections
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import torch

from eagerbench.backends.axes import dynamic_axes, output_axes
from eagerbench.backends.base import Arrays
from eagerbench.backends.generating import PAST_INPUTS, WithPast, past_example
from eagerbench.backends.torch_runner import Positional, counting, named_tensors

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

OPSET = 17
ATTENTION_OPSET = 23  # the first with an Attention operator
_KEEP_BYTES = 4 * 2**30


@dataclass(frozen=True)
class SharedExport:
    """An export that several variants start from: read it, never change it.

    Attributes:
        file: the ONNX file, alone in its directory except for its external data.
        nodes: how often each operator type is in it.
        saved_s: seconds that an earlier caller spent on it; 0 for the caller that had it made.
    """

    file: Path
    nodes: Mapping[str, int]
    saved_s: float


def export_onnx(model: "LoadedModel", example: Arrays, file: Path) -> None:
    """Export with every axis dynamic that changes with the batch size or the length.

    The TorchScript-based exporter from eager attention: ONNX Runtime's optimizer recognises its attention
    blocks (MiniLM: 6 of 6, against 0 of 6 of the `torch.export`-based one or of SDPA), and it is faster.
    Source: https://docs.pytorch.org/docs/stable/onnx_torchscript.html
    """
    native = {name: torch.from_numpy(array) for name, array in example.items()}
    wrapper = Positional(model.copy().cpu(), list(native)).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        outputs = named_tensors(wrapper.module(**native))
        axes = {**output_axes(model), **dynamic_axes(model)}
        torch.onnx.export(wrapper, tuple(native.values()), str(file), dynamo=False, opset_version=OPSET,
                          input_names=list(native), output_names=list(outputs), dynamic_axes=axes)
    _read_shared_weights_directly(file)


def _read_shared_weights_directly(file: Path) -> None:
    """Take out the Identity nodes by which the TorchScript-based exporter reads a weight that it has written before.

    Neither the optimizer nor quantisation sees a weight behind one: ALBERT, whose layers share theirs, would be
    fused and quantised in one layer only.
    """
    model = onnx.load(str(file), load_external_data=False)
    graph = model.graph
    weights = {weight.name for weight in graph.initializer}
    copies = {node.output[0]: node for node in graph.node if node.op_type == "Identity" and node.input[0] in weights}
    for output in graph.output:
        copies.pop(output.name, None)
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in copies:
                node.input[index] = copies[name].input[0]
    for node in copies.values():
        graph.node.remove(node)
    onnx.save(model, str(file))


def export_dynamo(model: "LoadedModel", example: Arrays, file: Path) -> None:
    """Export by way of `torch.export`, batch size and sequence length dynamic, from SDPA attention.

    From opset 23 on SDPA becomes ONNX's own Attention operator, one node a block.
    Source: https://docs.pytorch.org/docs/stable/onnx_export.html, https://onnx.ai/onnx/operators/onnx__Attention.html
    """
    native = {name: torch.from_numpy(array) for name, array in example.items()}
    module = counting(model.copy("sdpa").cpu())
    free = {name: dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for name, axes in dynamic_axes(model).items()}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        outputs = named_tensors(module(**native))
        program = torch.onnx.export(module, (), kwargs=native, dynamo=True, opset_version=ATTENTION_OPSET,
                                    dynamic_shapes=free, output_names=list(outputs), verbose=False)
    program.save(str(file))


def export_with_past(model: "LoadedModel", example: Arrays, file: Path) -> None:
    """Export a causal language model with past key values, by the TorchScript-based exporter; `example` is not used.

    Inputs are `past_names`; outputs are logits and, for each past tensor, the longer one.
    """
    inputs, names = past_example(model), past_names(model)
    past, presents = names[2:], [name.replace("past", "present") for name in names[2:]]
    axes = {"input_ids": {0: "batch", 1: "sequence"}, "logits": {0: "batch", 1: "sequence"},
            "attention_mask": {0: "batch", 1: "total"}, **{name: {0: "batch", 2: "past"} for name in past},
            **{name: {0: "batch", 2: "total"} for name in presents}}
    wrapper = WithPast(model.copy()).cpu().eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(wrapper, tuple(tensor.cpu() for tensor in inputs), str(file), dynamo=False,
                          opset_version=OPSET, input_names=names, output_names=["logits", *presents], dynamic_axes=axes)
    _read_shared_weights_directly(file)


def past_names(model: "LoadedModel") -> list[str]:
    """Inputs of a graph with past key values: ids, mask, and a key and a value a layer."""
    layers = (len(past_example(model)) - len(PAST_INPUTS)) // 2
    return [*PAST_INPUTS, *(f"past_{layer}_{part}" for layer in range(layers) for part in ("key", "value"))]


_EXPORTERS = {"torchscript": export_onnx, "dynamo": export_dynamo, "with-past": export_with_past}
_kept: dict[tuple, tuple[tempfile.TemporaryDirectory, SharedExport]] = {}


def shared_export(model: "LoadedModel", example: Arrays, exporter: str = "torchscript") -> SharedExport:
    """The export of a model by `torchscript` or `dynamo`, made at most once in a process.

    Exports are kept until the process ends; the oldest go when all together are larger than 4 GiB.
    """
    key = (exporter, model.fingerprint, model.derived, tuple((name, array.shape) for name, array in example.items()))
    if key not in _kept:
        scratch = tempfile.TemporaryDirectory(prefix="onnx-export-")
        atexit.register(scratch.cleanup)
        start = time.perf_counter()
        file = Path(scratch.name) / "model.onnx"
        _EXPORTERS[exporter](model, example, file)
        _kept[key] = scratch, SharedExport(file, node_counts(file), time.perf_counter() - start)
        _drop_oldest()
        made = _kept[key][1]
        return SharedExport(made.file, made.nodes, 0.0)
    return _kept[key][1]


def _drop_oldest() -> None:
    sizes = [sum(file.stat().st_size for file in export.file.parent.iterdir()) for _, export in _kept.values()]
    while len(sizes) > 1 and sum(sizes) > _KEEP_BYTES:
        scratch, _ = _kept.pop(next(iter(_kept)))
        scratch.cleanup()
        sizes.pop(0)


def node_counts(file: Path) -> dict[str, int]:
    """How often each operator type is in the graph."""
    graph = onnx.load(str(file), load_external_data=False).graph
    return dict(collections.Counter(node.op_type for node in graph.node))


def weighted_products(file: Path) -> dict[str, int]:
    """How often each operator of a float product with a weight, and not of two activations, is in the graph."""
    return dict(collections.Counter(node.op_type for node in weighted_nodes(file)))


def weighted_nodes(file: Path) -> list[onnx.NodeProto]:
    """Float products with a weight."""
    graph = onnx.load(str(file), load_external_data=False).graph
    weights = {weight.name for weight in graph.initializer}
    return [node for node in graph.node if node.op_type in ("MatMul", "Gemm") and weights & set(node.input[:2])]
