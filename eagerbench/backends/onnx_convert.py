"""What ONNX Runtime's tools make of an exported file: each step reads `source` and writes `target`.

A model above protobuf's 2 GB keeps its weights in files beside it, and so does what is made of it.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eagerbench.backends import bf16
from eagerbench.backends.artifacts import saving
from eagerbench.backends.runner import Arrays

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

# `onnxruntime.transformers.optimizer.MODEL_TYPES` by the config's model_type; every other family is tried as BERT.
_STATIC = ("MatMul", "Gemm")  # what is quantised statically
_KINDS = {"gpt2": "gpt2", "vit": "vit", "swin": "swin", "bart": "bart", "clip_text_model": "clip"}


def copy(source: Path, target: Path, model: "LoadedModel") -> None:
    """The export as it is."""
    for file in source.parent.iterdir():
        shutil.copy(file, target.with_name(file.name))


def fuse(source: Path, target: Path, model: "LoadedModel") -> None:
    """ONNX Runtime's transformers optimizer.

    Source: https://onnxruntime.ai/docs/performance/transformers-optimization.html
    """
    fused = _fused(source, model.config)
    with saving():
        fused.save_model_to_file(str(target), use_external_data_format=_external(source))


def halve(source: Path, target: Path, model: "LoadedModel") -> None:
    """The optimizer, then float16 weights and arithmetic between float32 inputs and outputs."""
    fused = _fused(source, model.config)
    fused.convert_float_to_float16(keep_io_types=True)
    with saving():
        fused.save_model_to_file(str(target), use_external_data_format=_external(source))


def quantise(source: Path, target: Path, model: "LoadedModel") -> None:
    """Dynamic int8 with one scale a column: one a tensor costs twice the error on MiniLM at the same speed.

    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The type of what the optimizer's own operators return, which shape inference does not know.
    quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True,
                     use_external_data_format=_external(source), extra_options={"DefaultTensorType": 1})


def quantise_static(source: Path, target: Path, model: "LoadedModel") -> None:
    """Static int8: products with a weight between QuantizeLinear and DequantizeLinear, one scale a column of a weight
    and one for each activation, found on inputs that no benchmark uses.

    Everything else stays in float32, outputs of products too: a bias is added, and a layer normalised, without another
    rounding.
    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    from eagerbench.backends.calibration import calibration_batches
    from eagerbench.backends.onnx_export import weighted_nodes

    names = [node.name for node in weighted_nodes(source)]
    activations, seven_bits = static_types(bf16.flags())
    quantize_static(str(source), str(target), _reader(source, calibration_batches(model)), QuantFormat.QDQ,
                    op_types_to_quantize=list(_STATIC), nodes_to_quantize=names, per_channel=True,
                    activation_type=getattr(QuantType, activations), weight_type=QuantType.QInt8,
                    reduce_range=seven_bits, use_external_data_format=_external(source),
                    extra_options={"OpTypesToExcludeOutputQuantization": list(_STATIC)})
    _keep_the_rest_in_float32(target, set(names))


def _keep_the_rest_in_float32(file: Path, products: set[str]) -> None:
    """Let every other reader of a tensor that products take in int8 read it as it was: the quantiser gives all of them
    the rounded one, a residual connection too."""
    import onnx

    model = onnx.load(str(file), load_external_data=False)
    source = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    rounded = {node.output[0]: source[node.input[0]] for node in model.graph.node
               if node.op_type == "DequantizeLinear" and node.input[0] in source}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name in rounded and node.name not in products:
                node.input[index] = rounded[name]
    onnx.save(model, str(file))


def static_types(flags: Iterable[str]) -> tuple[str, bool]:
    """Type of activations beside int8 weights, and whether weights are kept to 7 bits, by the flags of a processor.

    x86 multiplies uint8 by int8: in 32 bits with VNNI, in 16 bits without, where sums of 8-bit weights would saturate.
    Others (ARM) multiply int8 by int8. ONNX Runtime's own advice, in `quantize_static`'s docstring.
    """
    flags = set(flags)
    if not flags & {"avx", "avx2"}:
        return "QInt8", False
    return "QUInt8", not flags & {"avx512_vnni", "avx_vnni", "amx_int8"}


def _reader(source: Path, batches: list[Arrays]) -> Any:
    """The batches as the quantiser reads them: those inputs that are in the graph."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    accepted = {entry.name for entry in onnx.load(str(source), load_external_data=False).graph.input}

    class Reader(CalibrationDataReader):
        def __init__(self):
            self._left = iter(batches)

        def get_next(self):
            batch = next(self._left, None)
            return batch and {name: array for name, array in batch.items() if name in accepted}

    return Reader()


def _fused(source: Path, config: Any) -> Any:
    """The optimizer's model. Head count and width come from the config.

    The raw mask, not the default: that turns the mask into row lengths and is wrong for any row that is not
    padded on its right (`AttentionMaskFormat.MaskIndexEnd`).
    """
    import onnx
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    model = onnx.load(str(source))
    _divide_scores(model.graph)

    kind = _KINDS.get(getattr(config, "model_type", ""), "bert")
    options = FusionOptions(kind)
    options.use_raw_attention_mask(True)
    return optimizer.optimize_model(model, kind, num_heads=getattr(config, "num_attention_heads", None) or 0,
                                    hidden_size=getattr(config, "hidden_size", None) or 0, opt_level=0,
                                    optimization_options=options)


def _divide_scores(graph: Any) -> None:
    """Where no mask is added, scores times 1/√d become scores over √d: the only form in which the optimizer knows
    attention without a mask, such as ViT's (path5 in its `fusion_attention.py`)."""
    from onnx import numpy_helper

    producers = {name: node for node in graph.node for name in node.output}
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        scale = producers.get(softmax.input[0])
        constant = producers.get(scale.input[1]) if scale is not None and scale.op_type == "Mul" else None
        if constant is not None and constant.op_type == "Constant":
            divisor = 1 / numpy_helper.to_array(constant.attribute[0].t)
            graph.initializer.append(numpy_helper.from_array(divisor, f"{scale.output[0]}_divisor"))
            scale.op_type, scale.input[1] = "Div", graph.initializer[-1].name


def _external(source: Path) -> bool:
    return len(list(source.parent.iterdir())) > 1
