"""What an ExecuTorch program holds: its calls of XNNPACK, the products in them, and the kernels between."""

import json
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

_BACKEND = "XnnpackBackend"
_PRODUCTS = ("XNNFullyConnected",)
_INT8 = ("qint8", "qdint8", "qpint8", "quint8")  # of an activation: calibrated, or one scale a row found at each call


@dataclass(frozen=True)
class Contents:
    """Attributes:
        delegate_calls: calls of XNNPACK in one run of the program.
        kernel_calls: those of ExecuTorch's portable kernels, whose names are `operators`.
        products: fully connected layers in XNNPACK's graphs.
        int8_products: those of them that take activations and weights of 8 bits.
    """

    delegate_calls: int
    kernel_calls: int
    operators: list[str]
    products: int
    int8_products: int


def contents(program: bytes) -> Contents:
    """Read by flatc, which ExecuTorch's wheel brings, with the schemas that it writes by.

    Args:
        program: a .pte file.
    """
    from executorch.exir._serialize._program import _extract_delegate_payload, deserialize_pte_binary

    plan = deserialize_pte_binary(program).program.execution_plan[0]
    calls = [instruction.instr_args for chain in plan.chains for instruction in chain.instructions]
    kernels = [plan.operators[call.op_index].name for call in calls if type(call).__name__ == "KernelCall"]
    delegated = sum(type(call).__name__ == "DelegateCall" and plan.delegates[call.delegate_index].id == _BACKEND
                    for call in calls)
    held = sum(delegate.id == _BACKEND for delegate in plan.delegates)
    graphs = [_graph(_extract_delegate_payload(program, _BACKEND, index)) for index in range(held)]
    products = [product for graph in graphs for product in _products(graph)]
    return Contents(delegated, len(kernels), sorted(set(kernels)), len(products), sum(products))


def _products(graph: dict) -> list[bool]:
    """For each fully connected layer whether its activations and weights have 8 bits."""
    types = {}
    for value in graph["xvalues"]:
        held = value["xvalue_union"]
        tensor = held.get("tensor_value", held)
        types[tensor["id_out"]] = tensor["datatype"].removeprefix("xnn_datatype_")
    layers = [node["xnode_union"] for node in graph["xnodes"] if node["xnode_union_type"] in _PRODUCTS]
    return [types[layer["input1_id"]] in _INT8 and types[layer["filter_id"]] in ("qint8", "qcint8")
            for layer in layers]


def _graph(payload: bytes) -> dict:
    """XNNPACK's graph, which lies between a header and the constants."""
    from executorch.backends.xnnpack import serialization
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader
    from executorch.exir._serialize._flatbuffer import _flatc_decompile

    header = XNNHeader.from_bytes(payload[:XNNHeader.EXPECTED_LENGTH])
    with tempfile.TemporaryDirectory() as scratch:
        schema, data = Path(scratch) / "schema.fbs", Path(scratch) / "graph.bin"
        schema.write_bytes(resources.files(serialization).joinpath("schema.fbs").read_bytes())
        data.write_bytes(payload[header.flatbuffer_offset:header.flatbuffer_offset + header.flatbuffer_size])
        _flatc_decompile(scratch, str(schema), str(data), ["--raw-binary"])
        return json.loads((Path(scratch) / "graph.json").read_text())
