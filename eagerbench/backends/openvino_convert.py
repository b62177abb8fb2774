"""From a reference module to an OpenVINO model: as it is, quantised, with its weights compressed, or with a state."""

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.backends.runner import Arrays

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

AXES = "axes.json"  # of a model's directory: which axis of each input and output is that of the batch
GROUP = 64  # weights of a row that share a scale of 4-bit compression
_BATCH = 0  # axis of keys and values


def no_telemetry() -> None:
    """Keep OpenVINO and NNCF from their telemetry, which otherwise sends usage data and writes to ~/intel by default.

    A blocked import is the switch that needs no file in the user's home; both packages then take their own stub.
    """
    sys.modules.setdefault("openvino_telemetry", None)


def package() -> Any:
    """The package without its telemetry."""
    no_telemetry()
    import openvino

    return openvino


def convert(model: "LoadedModel", example: Arrays) -> Any:
    """`openvino.Model` with the reference's output names.

    From eager attention: OpenVINO fuses it as it does SDPA's, with half of the transpositions left (MiniLM: 6, not 12).
    """
    import torch

    from eagerbench.backends.axes import dynamic_axes
    from eagerbench.backends.torch_runner import counting, named_tensors

    native = {name: torch.from_numpy(array) for name, array in example.items()}
    module = counting(model.copy().cpu())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        names = named_tensors(module(**native))
        converted = package().convert_model(module, example_input=native)
    for entry in converted.inputs:  # Wav2Vec2's has a number for a second name
        entry.get_tensor().set_names(entry.get_names() & set(example) or entry.get_names())
    known = {name for entry in converted.inputs for name in entry.get_names()}
    axes = {name: of_one for name, of_one in dynamic_axes(model).items() if name in known}
    if any(len(of_one) < example[name].ndim for name, of_one in axes.items()):  # OpenVINO itself leaves all sizes open
        converted.reshape({name: [-1 if axis in of_one else size for axis, size in enumerate(example[name].shape)]
                           for name, of_one in axes.items()})
    for output, name in zip(converted.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    return converted


def quantise(converted: Any, model: "LoadedModel") -> Any:
    """NNCF's post-training quantisation for transformers, on inputs that no benchmark uses."""
    from eagerbench.backends.calibration import calibration_batches

    batches = calibration_batches(model)
    with _nncf() as nncf:
        return nncf.quantize(converted, nncf.Dataset(batches), model_type=nncf.ModelType.TRANSFORMER,
                             subset_size=len(batches))


def compress(converted: Any, bits: int) -> Any:
    """NNCF's weight compression, without data: 8 bits with a scale and a zero point a row, or 4 bits with a scale for
    `GROUP` weights of a row, embeddings and the last layer in 8.

    Source: https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/weight-compression.html
    """
    with _nncf() as nncf:
        if bits == 8:
            return nncf.compress_weights(converted, mode=nncf.CompressWeightsMode.INT8_ASYM)
        return nncf.compress_weights(converted, mode=nncf.CompressWeightsMode.INT4_SYM, group_size=GROUP)


@contextlib.contextmanager
def _nncf() -> Iterator[Any]:
    """The package, silent."""
    package()  # before NNCF, for its telemetry
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import nncf

        nncf.set_log_level("ERROR")
        yield nncf


def write_axes(model: "LoadedModel", directory: Path) -> None:
    """For each input and output the axis of the batch, null without one; nothing of outputs where they are unknown."""
    from eagerbench.backends.axes import dynamic_axes, output_axes

    found = {kind: {name: next((axis for axis, what in axes.items() if what == "batch"), None)
                    for name, axes in of_kind.items()}
             for kind, of_kind in (("inputs", dynamic_axes(model)), ("outputs", output_axes(model)))}
    (directory / AXES).write_text(json.dumps(found))


def convert_stateful(model: "LoadedModel") -> Any:
    """A causal language model that keeps its keys and values from call to call, as OpenVINO's own pipelines want it.

    Inputs are `input_ids`, `attention_mask` (of all tokens so far) and `beam_idx` (which row goes on as which); the
    output is `logits`. After optimum-intel's `optimum/exporters/openvino/stateful.py`; the state:
    https://docs.openvino.ai/2026/openvino-workflow/running-inference/inference-request/stateful-models.html
    """
    import torch

    from eagerbench.backends.generating import PAST_INPUTS, WithPast, past_example

    openvino = package()
    example = tuple(tensor.cpu() for tensor in past_example(model))
    layers = (len(example) - len(PAST_INPUTS)) // 2
    past = [f"past_key_values.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    presents = [name.replace("past_key_values", "present") for name in past]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        whole = WithPast(_with_sdpa(model).cpu()).eval()
        converted = openvino.convert_model(torch.jit.trace(whole, example, check_trace=False), example_input=example)
    for ports, names in ((converted.inputs, (*PAST_INPUTS, *past)), (converted.outputs, ("logits", *presents))):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    fixed = {name: [-1, tensor.shape[1], -1, tensor.shape[3]] for name, tensor in zip(past, example[2:], strict=True)}
    converted.reshape({**{name: [-1, -1] for name in PAST_INPUTS}, **fixed})
    _reorder_past(converted, past)
    from openvino._offline_transformations import apply_make_stateful_transformation

    apply_make_stateful_transformation(converted, dict(zip(past, presents, strict=True)))
    _begin_empty(converted)
    return converted


def _with_sdpa(model: "LoadedModel") -> Any:
    """With the attention of which OpenVINO makes one operator that holds keys and values; eager where there is none."""
    try:
        return model.copy("sdpa")
    except ValueError:
        return model.copy()


def _reorder_past(converted: Any, past: list[str]) -> None:
    """Let each past tensor be read by way of `beam_idx`, a new input: the pattern that OpenVINO's CPU plugin fuses."""
    from openvino import PartialShape, opset13

    rows = opset13.parameter(PartialShape([-1]), dtype=np.int32, name="beam_idx")
    rows.output(0).get_tensor().set_names({"beam_idx"})
    converted.add_parameters([rows])
    for name in past:
        port = converted.input(name)
        readers = port.get_target_inputs()
        chosen = opset13.gather(port.get_node(), rows, opset13.constant(_BATCH, dtype=np.int64))
        for reader in readers:
            reader.replace_source_output(chosen.output(0))
    converted.validate_nodes_and_infer_types()


def _begin_empty(converted: Any) -> None:
    """Let each state begin with no token for every row of the batch: by default it would have no row either."""
    from openvino import opset13

    shape = opset13.shape_of(converted.input("input_ids").get_node(), output_type="i64")
    batch = opset13.gather(shape, opset13.constant([0], dtype=np.int64), opset13.constant(0, dtype=np.int64))
    for read in [op for op in converted.get_ops() if op.get_type_name() == "ReadValue"]:
        sizes = [opset13.constant([dimension.min_length], dtype=np.int64)
                 for dimension in read.get_output_partial_shape(0)]
        sizes[_BATCH] = batch
        nothing = opset13.constant(0.0, dtype=np.float32)
        read.set_arguments([opset13.broadcast(nothing, opset13.concat(sizes, axis=0))])
    converted.validate_nodes_and_infer_types()
