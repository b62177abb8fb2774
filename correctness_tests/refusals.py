"""Models that a variant cannot take, and what its refusal says: exceptions to "every variant runs every model".

A refusal that is not listed fails a test, and so does a listed one that no longer happens. Beside them: models that
cannot be had at all.
"""

from fnmatch import fnmatchcase

import pytest

from eagerbench.backends import openvino_runtime
from eagerbench.errors import BadInput
from eagerbench.models import specs

# (variant, model) globs: pattern of the reason.
REFUSALS: dict[tuple[str, str], str] = {
    ("bettertransformer*", "*gpt2"): "GPT2LMHeadModel cannot be converted: its layers are GPT2Block",
    ("bettertransformer-nested", "*vit*"): "accepts no attention mask: there is no padding to skip",
    ("bettertransformer-nested", "unlisted-deit"): "accepts no attention mask",
    ("bettertransformer-nested", "*wav2vec2*"): "Wav2Vec2ForCTC accepts no attention mask",
    ("bettertransformer-nested", "*whisper*"): "WhisperEncoder accepts no attention mask",
    ("bettertransformer*", "*wav2vec2*"): "Wav2Vec2ForCTC cannot be converted: its layers are Wav2Vec2EncoderLayer",
    ("bettertransformer*", "*whisper*"): "WhisperEncoder cannot be converted: its layers are WhisperEncoderLayer",
    ("bettertransformer*", "*bloom*"): "BloomForCausalLM cannot be converted: its layers are BloomBlock",
    ("bettertransformer*", "*llama*"): "LlamaForCausalLM cannot be converted: its layers are LlamaDecoderLayer",
    ("bettertransformer*", "smollm*"): "LlamaForCausalLM cannot be converted: its layers are LlamaDecoderLayer",
    ("sdpa*", "*bloom*"): "BloomForCausalLM has no SDPA attention to choose",
    ("onnxruntime-dynamo", "*bloom*"): "no Attention operator in this export",
    ("bettertransformer*", "unlisted-*"): "cannot be converted: (its layers are|it has no such layers)",
    ("sdpa*", "unlisted-mpnet"): "MPNetForSequenceClassification has no SDPA attention to choose",
    ("onnxruntime-fused", "unlisted-opt"): "fuse changed nothing in this graph",
    ("torchscript-script", "*"): "TorchScript cannot compile the Python source of",
    ("torchscript-positional", "*gpt2"): "forward has 'past_key_values' in place 2",
    ("torchscript-positional", "*bloom*"): "forward has 'past_key_values' in place 2",
    **{(variant, "*bloom*"): "Could not export Python function call 'GeLUFunction'"  # those that write a file
       for variant in ("torchscript", "torchscript-freeze*", "torchscript-optimized*", "dynamic-int8-torchscript")},
    ("onnxruntime-dynamo", "*-llama"): "RotaryEmbedding",
    ("onnxruntime-dynamo", "unlisted-mpnet"): "no Attention operator in this export",
    ("torchscript-onednn*", "unlisted-mpnet"): "its logarithm is off by 2e-6",
    ("torchscript-onednn*", "*gpt2"): "oneDNN graph fusion fails on GPT2LMHeadModel",
    ("dynamic-int8*", "*gpt2"): "leaves the Conv1D layers of GPT2LMHeadModel in float32",
    ("torchao-int8", "*gpt2"): "leaves the Conv1D layers of GPT2LMHeadModel in float32",
    ("onnxruntime-int8-qattention", "*gpt2"): "fuses no attention block of this export",
    ("onnxruntime-int8-qattention", "*llama*"): "fuses no attention block of this export",
    ("onnxruntime-int8-qattention", "smollm*"): "fuses no attention block of this export",
    ("onnxruntime-int8-qattention", "*bloom*"): "fuses no attention block of this export",
    **{(f"{runtime}-genai*", model): f"{runtime}-genai generates text, and this is no causal language model"
       for runtime in ("openvino", "onnxruntime")
       for model in ("*bert*", "*electra*", "minilm", "*vit*", "*wav2vec2*", "*whisper*")},
    ("onnxruntime-genai*", "*gpt2"): "the model builder of onnxruntime-genai fails",
    ("onnxruntime-genai*", "*bloom*"): "the model builder of onnxruntime-genai fails",
    ("ipex", "*gpt2"): "IPEX packs no layer of GPT2LMHeadModel",
    ("ctranslate2*", "*electra*"): "No conversion is registered for the model configuration ElectraConfig",
    ("ctranslate2*", "*vit*"): "No conversion is registered for the model configuration ViTConfig",
    ("ctranslate2*", "*wav2vec2*"): "has no attribute 'layer_norm'",
    **{("llama-cpp*", pattern): "GGUF files are written of GPT2LMHeadModel and LlamaForCausalLM here, not of"
       for pattern in ("*bert*", "minilm", "*electra*", "*vit*", "*wav2vec2*", "*whisper*", "*bloom*", "unlisted-*")},
    **{("llama-cpp-q4_k", pattern): "Q4_K packs the weights of a row in blocks of 256; .* has rows of"
       for pattern in ("tiny-*", "smollm*")},
}

DECODERS_ONLY = "llama-cpp"  # how variants begin that run no encoder

# On one thread of a processor with AMX.
ON_ONE_AMX_THREAD = {("openvino-bf16", "*llama*"): "its issue 33300", ("openvino-bf16", "smollm*"): "its issue 33300"}

# Four bits are too coarse for these random weights: what one layer rounds off, the next ones amplify. The kernels are
# right (test_bitsandbytes.py holds them to eager with the rounded weights).
TOO_COARSE = {("bnb-nf4", "electra-base"), ("bnb-nf4-double", "electra-base"), ("bnb-fp4", "xlm-roberta-large"),
              ("bnb-nf4", "xlm-roberta-large"), ("bnb-nf4-double", "xlm-roberta-large")}


def expected(variant_name: str, model_name: str, threads: int) -> str | None:
    """Pattern of the reason that a build must give, or None when it must succeed."""
    one_amx_thread = threads == 1 and "amx_bf16" in openvino_runtime._processor_flags()
    known = REFUSALS | (ON_ONE_AMX_THREAD if one_amx_thread else {})
    return next((pattern for (variant, model), pattern in known.items()
                 if fnmatchcase(variant_name, variant) and fnmatchcase(model_name, model)), None)


def refused(text: str) -> str:
    """The line of the error when the model is resolved and loaded."""
    from eagerbench.models.loading import load

    with pytest.raises(BadInput) as error:
        load(specs.resolve(text, 0))
    line = str(error.value)
    assert "\n" not in line
    return line
