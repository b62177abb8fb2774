"""What ONNX Runtime's tools make of an exported file: each step reads `source` and writes `target`.

A model above protobuf's 2 GB keeps its weights in files beside it, and so does what is made of it.
"""

import shutil
from pathlib import Path
from typing import Any

from eagerbench.backends.artifacts import saving

# `onnxruntime.transformers.optimizer.MODEL_TYPES` by the config's model_type; every other family is tried as BERT.
_KINDS = {"gpt2": "gpt2", "vit": "vit", "swin": "swin", "bart": "bart", "clip_text_model": "clip"}


def copy(source: Path, target: Path, config: Any) -> None:
    """The export as it is."""
    for file in source.parent.iterdir():
        shutil.copy(file, target.with_name(file.name))


def fuse(source: Path, target: Path, config: Any) -> None:
    """ONNX Runtime's transformers optimizer.

    Source: https://onnxruntime.ai/docs/performance/transformers-optimization.html
    """
    model = _fused(source, config)
    with saving():
        model.save_model_to_file(str(target), use_external_data_format=_external(source))


def halve(source: Path, target: Path, config: Any) -> None:
    """The optimizer, then float16 weights and arithmetic between float32 inputs and outputs."""
    model = _fused(source, config)
    model.convert_float_to_float16(keep_io_types=True)
    with saving():
        model.save_model_to_file(str(target), use_external_data_format=_external(source))


def quantise(source: Path, target: Path, config: Any) -> None:
    """Dynamic int8 with one scale a column: one a tensor costs twice the error on MiniLM at the same speed.

    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True,
                     use_external_data_format=_external(source))


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
