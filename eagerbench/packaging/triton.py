"""`config.pbtxt` for NVIDIA Triton Inference Server, of the runtimes that it has a backend for.

Formats: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

from collections.abc import Iterator
from pathlib import Path

from eagerbench.packaging.manifest import Manifest, Tensor

_BACKENDS = {"onnxruntime": "onnxruntime", "openvino": "openvino", "torchscript": "pytorch"}
_TYPES = {"int64": "TYPE_INT64", "int32": "TYPE_INT32", "float32": "TYPE_FP32", "float16": "TYPE_FP16",
          "bool": "TYPE_BOOL", "uint8": "TYPE_UINT8"}
_FILES = {"onnxruntime": "model.onnx", "openvino": "model.xml", "torchscript": "model.pt"}


def config(manifest: Manifest) -> str | None:
    """The text; None for a runtime that Triton has not."""
    backend = _BACKENDS.get(manifest.session.runtime)
    types = {one.dtype for one in (*manifest.inputs, *manifest.outputs)}
    if backend is None or not types <= set(_TYPES):
        return None
    return "\n".join(_lines(manifest, backend)) + "\n"


def _lines(manifest: Manifest, backend: str) -> Iterator[str]:
    where = Path(manifest.artifact).parent.as_posix()
    yield f"# Put this file at REPOSITORY/NAME/config.pbtxt and the files of {where}/ at REPOSITORY/NAME/1/."
    yield f'backend: "{backend}"'
    yield f'default_model_filename: "{_FILES[manifest.session.runtime]}"'
    yield "max_batch_size: 0  # shapes below have the batch in them"
    for one in manifest.inputs:
        yield from _tensor("input", one.name, one)
    for number, one in enumerate(manifest.outputs):
        # Triton tells the outputs of a TorchScript module by the number behind two underscores.
        yield from _tensor("output", f"{one.name}__{number}" if backend == "pytorch" else one.name, one)
    yield 'instance_group [ { kind: KIND_CPU count: 1 } ]'
    for key, value in _parameters(manifest):
        yield f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}'


def _tensor(kind: str, name: str, one: Tensor) -> Iterator[str]:
    dims = ", ".join(str(size) if isinstance(size, int) else "-1" for size in one.shape)
    yield f'{kind} [ {{ name: "{name}" data_type: {_TYPES[one.dtype]} dims: [ {dims} ] }} ]'


def _parameters(manifest: Manifest) -> Iterator[tuple[str, object]]:
    session = manifest.session
    if session.runtime == "onnxruntime":
        yield "intra_op_thread_count", session.settings["intra_op_num_threads"]
        yield "inter_op_thread_count", 1
    elif session.runtime == "openvino":
        yield from session.settings.items()
    else:
        yield "INTRA_OP_THREAD_COUNT", session.threads
        yield "DISABLE_OPTIMIZED_EXECUTION", "false"
        yield "INFERENCE_MODE", "true"
