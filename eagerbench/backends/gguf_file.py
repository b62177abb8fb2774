"""GGUF files: a model's weights as llama.cpp reads them, written by its own Python package and quantised by itself."""

import ctypes
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.errors import Refused

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

# Types of the weights of products in a file that is called by the first; a row of weights is cut into blocks.
TYPES = {"F32": ("F32",), "F16": ("F16",), "Q8_0": ("Q8_0",), "Q4_K": ("Q4_K", "Q5_K", "Q6_K")}
_BLOCKS = {"Q8_0": 32, "Q4_K": 256}
# What `llama-quantize` calls them; Q4_K_M is its usual choice: the more delicate weights on 5 and 6 bits.
_FILE_TYPES = {"F16": "LLAMA_FTYPE_MOSTLY_F16", "Q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0", "Q4_K": "LLAMA_FTYPE_MOSTLY_Q4_K_M"}
_FAMILIES = {"GPT2LMHeadModel": "gpt2", "LlamaForCausalLM": "llama"}
_TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # GPT-2's Conv1D
_NOT_MULTIPLIED = "position_embd.weight"


def write(model: "LoadedModel", file: Path) -> None:
    """The weights in float32, as `convert_hf_to_gguf.py` of llama.cpp lays them out, and a vocabulary without words.

    Raises:
        Refused: another architecture, or a setting or weights that llama.cpp's has not.
    """
    import gguf

    module = model.module
    family = _FAMILIES.get(type(module).__name__)
    if family is None:
        raise Refused(f"GGUF files are written of {' and '.join(_FAMILIES)} here, not of {type(module).__name__}")
    config = module.config
    writer = gguf.GGUFWriter(str(file), family)
    {"gpt2": _describe_gpt2, "llama": _describe_llama}[family](writer, config)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.upper()], config.num_hidden_layers)
    for name, parameter in module.named_parameters():  # tied ones once, as llama.cpp has them
        known = names.get_name(name, (".weight", ".bias"))
        if known is None:
            raise Refused(f"llama.cpp's {family} has no place for {name}")
        writer.add_tensor(known, _laid_out(name, parameter.detach().cpu().numpy(), config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe_gpt2(writer: Any, config: Any) -> None:
    if config.activation_function not in ("gelu_new", "gelu_pytorch_tanh") or config.scale_attn_by_inverse_layer_idx:
        raise Refused("llama.cpp's gpt2 has GELU by tanh, and attention scaled alike in all layers")
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def _describe_llama(writer: Any, config: Any) -> None:
    rope = config.rope_parameters
    if config.hidden_act != "silu" or rope.get("rope_type", "default") != "default":
        raise Refused(f"GGUF files are written of LLaMA with SiLU and plain rotary positions here, not with "
                      f"{config.hidden_act} and {rope.get('rope_type')}")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(rope["rope_theta"])


def _laid_out(name: str, array: np.ndarray, config: Any) -> np.ndarray:
    """In llama.cpp's order: rows are outputs, and the rotary halves of each head of q and k are interleaved."""
    if name.endswith(_TRANSPOSED):
        array = array.T
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}.get(name.split(".")[-2])
    if heads:
        array = _interleaved(array, getattr(config, heads))
    return np.ascontiguousarray(array, np.float32)


def _interleaved(array: np.ndarray, heads: int) -> np.ndarray:
    """`permute` of llama.cpp's converter: its rotary positions turn neighbours, transformers' the halves of a head."""
    return array.reshape(heads, 2, len(array) // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def quantise(plain: Path, file: Path, kind: str) -> None:
    """What `llama-quantize` does.

    Args:
        kind: a key of TYPES.

    Raises:
        Refused: rows of weights that are no whole blocks, for which llama.cpp would take another type.
    """
    from eagerbench.backends.llama_cpp_library import library

    block = _BLOCKS.get(kind, 1)
    for name, (_, row) in products(plain).items():
        if row % block:
            raise Refused(f"{kind} packs the weights of a row in blocks of {block}; {name} has rows of {row}: it takes "
                          f"a model whose widths are multiples of {block}")
    llama, before = library().llama, len(library().log)
    settings = llama.llama_model_quantize_default_params()
    settings.ftype = getattr(llama, _FILE_TYPES[kind])
    if llama.llama_model_quantize(str(plain).encode(), str(file).encode(), ctypes.byref(settings)):
        raise ValueError(f"llama_model_quantize: {library().said_since(before)}")


def products(file: Path) -> dict[str, tuple[str, int]]:
    """For each weight that is multiplied with: its type, and how many weights a row has."""
    import gguf

    return {tensor.name: (tensor.tensor_type.name, int(tensor.shape[0])) for tensor in gguf.GGUFReader(file).tensors
            if len(tensor.shape) == 2 and tensor.name != _NOT_MULTIPLIED}


def types(file: Path) -> Counter:
    """How many weights are of each type."""
    return Counter(kind for kind, _ in products(file).values())
