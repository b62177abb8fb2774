"""Small random models of the kinds that probes and exporters trip over, made anew from a seed.

Transformers' own are (class, config): saved to a directory they load as a user's do. `FACTORIES` are plain modules, for
`--model small_architectures:NAME`.
"""

from pathlib import Path

import torch
import transformers

_SMALL = {"vocab_size": 500, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "initializer_range": 0.05}
_FEED_FORWARD = {**_SMALL, "intermediate_size": 128}
_GROUPED = {**_FEED_FORWARD, "num_key_value_heads": 2, "head_dim": 16}

# What is special about each stands behind it.
ARCHITECTURES: dict[str, tuple[str, transformers.PretrainedConfig]] = {
    # no bias, gated units, local and global attention in turns
    "modernbert": ("ModernBertForSequenceClassification", transformers.ModernBertConfig(
        **_FEED_FORWARD, num_labels=16, local_attention=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        cls_token_id=1, sep_token_id=2)),
    # full attention below a length, block-sparse above
    "bigbird": ("BigBirdForSequenceClassification", transformers.BigBirdConfig(
        **_FEED_FORWARD, num_labels=16, block_size=4, num_random_blocks=1, pad_token_id=0)),
    # sliding window with global tokens
    "longformer": ("LongformerForSequenceClassification", transformers.LongformerConfig(
        **_FEED_FORWARD, num_labels=16, attention_window=8, max_position_embeddings=130)),
    # no attention
    "fnet": ("FNetForSequenceClassification", transformers.FNetConfig(
        vocab_size=500, hidden_size=64, num_hidden_layers=2, intermediate_size=128, initializer_range=0.05,
        num_labels=16)),
    # RMSNorm, gated units, no bias; its window shorter than the prompts of the tests
    "mistral": ("MistralForCausalLM", transformers.MistralConfig(**_GROUPED, sliding_window=16)),
    # RMSNorm with 1 + weight, tied embeddings
    "gemma": ("GemmaForCausalLM", transformers.GemmaConfig(**_GROUPED)),
    # sliding and full attention in turns, capped logits
    "gemma2": ("Gemma2ForCausalLM", transformers.Gemma2Config(**_GROUPED, sliding_window=16)),
    "llama": ("LlamaForCausalLM", transformers.LlamaConfig(**_GROUPED)),
    # relative position bias, RMSNorm, no bias, no scaling
    "t5-encoder": ("T5EncoderModel", transformers.T5Config(
        vocab_size=500, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, initializer_factor=1.0)),
    "clip-text": ("CLIPTextModel", transformers.CLIPTextConfig(**_FEED_FORWARD, max_position_embeddings=77,
                                                               bos_token_id=498, eos_token_id=499, pad_token_id=0)),
    # patches by a convolution without a bias
    "clip-vision": ("CLIPVisionModel", transformers.CLIPVisionConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=32,
        patch_size=8, initializer_range=0.05)),
    # attention split into content and position
    "deberta-v2": ("DebertaV2ForSequenceClassification", transformers.DebertaV2Config(
        **_FEED_FORWARD, num_labels=16, relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=16,
        type_vocab_size=0)),
    # Conv1D in place of linear layers, one product for query, key and value
    "gpt2": ("GPT2LMHeadModel", transformers.GPT2Config(
        vocab_size=500, n_embd=64, n_layer=2, n_head=4, initializer_range=0.05, bos_token_id=499, eos_token_id=499)),
    # layers share their weights
    "albert": ("AlbertForSequenceClassification", transformers.AlbertConfig(
        **_FEED_FORWARD, embedding_size=32, num_labels=16)),
    "one-layer": ("BertModel", transformers.BertConfig(**{**_FEED_FORWARD, "num_hidden_layers": 1})),
}


def save(name: str, directory: Path) -> Path:
    """A directory as `save_pretrained` writes it."""
    architecture, config = ARCHITECTURES[name]
    torch.manual_seed(0)
    getattr(transformers, architecture)(config).save_pretrained(directory)
    return directory


class _Pooled(torch.nn.Module):
    """Token ids through an embedding, `body`, the mean over real tokens, and `head`."""

    def __init__(self, body: torch.nn.Module, head: torch.nn.Module):
        super().__init__()
        self.embed = torch.nn.Embedding(500, 64)
        self.body, self.head = body, head

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        mask = attention_mask.unsqueeze(-1).to(self.embed.weight.dtype)
        states = self.body(self.embed(input_ids)) * mask
        return {"logits": self.head(states.sum(1) / mask.sum(1).clamp(min=1))}


class _Convolution(torch.nn.Module):
    """A convolution over the tokens, (batch, length, width) in and out."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv1d(64, 64, 1)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.convolution(states.transpose(1, 2))).transpose(1, 2)


def bias_free() -> torch.nn.Module:
    """No attention, and no product has a bias."""
    linear = [torch.nn.Linear(*sizes, bias=False) for sizes in ((64, 128), (128, 64), (64, 16))]
    return _Pooled(torch.nn.Sequential(linear[0], torch.nn.GELU(), linear[1]), linear[2])


def bare_products() -> torch.nn.Module:
    """Products without a bias or an activation behind them: nothing to fuse."""
    return _Pooled(torch.nn.Linear(64, 64, bias=False), torch.nn.Linear(64, 16, bias=False))


def perceptron() -> torch.nn.Module:
    """No attention."""
    return _Pooled(torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 64)),
                   torch.nn.Linear(64, 16))


def no_product() -> torch.nn.Module:
    """Nothing to multiply."""
    return _Pooled(torch.nn.LayerNorm(64), torch.nn.Softsign())


def convolution() -> torch.nn.Module:
    """A convolution and no linear layer."""
    return _Pooled(_Convolution(), torch.nn.Softsign())


def tied() -> torch.nn.Module:
    """One linear layer twice."""
    shared = torch.nn.Linear(64, 64)
    return _Pooled(torch.nn.Sequential(shared, torch.nn.GELU(), shared), torch.nn.Linear(64, 16))


FACTORIES = ("bias_free", "bare_products", "perceptron", "no_product", "convolution", "tied")
