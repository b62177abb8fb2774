"""Factories of decoders whose widths are multiples of 256, as few layers as they may be."""

import transformers

_LIVELY = {"vocab_size": 1000, "initializer_range": 0.05, "bos_token_id": 998, "eos_token_id": 999}


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=256, n_layer=2, n_head=4, n_positions=256,
                                                                **_LIVELY))


def llama():
    """Of SmolLM's kind, whose own width of 576 is no multiple of 256."""
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=True, **_LIVELY))
