"""Small models of many architectures, of random weights from a seed.

NAMES are written as directories as their users have them, and are the rows of docs/architectures.md; ODD are for tests
alone. FACTORIES are plain modules, for `--model architectures:NAME`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"),
              *"abcdefghijklmnopqrstuvwxyz.,", *(f"w{i}" for i in range(200))]
_TEXT = {"vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 128, "max_position_embeddings": 512, "initializer_range": 0.05}
_GATED = {**_TEXT, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_IMAGE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
          "image_size": 32, "patch_size": 8}

# Name -> (class, config class, config).
_PLAIN: Mapping[str, tuple[str, str, dict]] = {
    "modernbert": ("ModernBertModel", "ModernBertConfig", {
        **_TEXT, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2,
        "global_attn_every_n_layers": 2, "local_attention": 16}),
    "bigbird": ("BigBirdModel", "BigBirdConfig", {**_TEXT, "block_size": 4, "num_random_blocks": 1}),
    "longformer": ("LongformerModel", "LongformerConfig", {**_TEXT, "attention_window": [8, 8], "pad_token_id": 1}),
    "fnet": ("FNetModel", "FNetConfig", {**_TEXT, "num_attention_heads": 4}),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**_GATED, "sliding_window": 16}),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", {**_GATED, "head_dim": 16}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", {**_GATED, "head_dim": 16, "sliding_window": 16}),
    "llama": ("LlamaForCausalLM", "LlamaConfig", _GATED),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**_GATED, "head_dim": 16}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {
        "vocab_size": 1000, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.05,
        "bos_token_id": 1, "eos_token_id": 2}),
    "t5-encoder": ("T5EncoderModel", "T5Config", {
        "vocab_size": 1000, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}),
    "t5-gated-encoder": ("T5EncoderModel", "T5Config", {
        "vocab_size": 1000, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4,
        "feed_forward_proj": "gated-gelu"}),
    "clip-text": ("CLIPTextModel", "CLIPTextConfig", {**_TEXT, "max_position_embeddings": 77, "eos_token_id": 999,
                                                      "bos_token_id": 998, "pad_token_id": 999}),
    "clip-image": ("CLIPVisionModel", "CLIPVisionConfig", _IMAGE),
    "deberta-v2": ("DebertaV2Model", "DebertaV2Config", {
        **_TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 32}),
    "reranker": ("BertForSequenceClassification", "BertConfig", {**_TEXT, "num_labels": 1}),
    "multi-label": ("RobertaForSequenceClassification", "RobertaConfig", {
        **_TEXT, "max_position_embeddings": 514, "pad_token_id": 1, "num_labels": 6, "type_vocab_size": 1,
        "problem_type": "multi_label_classification"}),
    "all-outputs": ("BertModel", "BertConfig", {**_TEXT, "attn_implementation": "eager",
                                                 "output_hidden_states": True, "output_attentions": True}),
}
# What is special about each stands behind it.
ODD: Mapping[str, tuple[str, str, dict]] = {
    # sliding and full attention in turns, capped logits
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", {**_GATED, "head_dim": 16, "sliding_window": 16}),
    # layers share their weights
    "albert": ("AlbertForSequenceClassification", "AlbertConfig", {
        **_TEXT, "embedding_size": 32, "num_labels": 16, "pad_token_id": 0}),
    "one-layer": ("BertModel", "BertConfig", {**_TEXT, "num_hidden_layers": 1}),
}


def save(name: str, directory: Path) -> Path:
    """Write the model `name` of NAMES or ODD into `directory`, made if it is not there.

    Returns:
        The directory, ready for `--model`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    _WRITERS.get(name, _save_plain)(name, directory)
    return directory


def _save_plain(name: str, directory: Path) -> None:
    architecture, config_class, config = {**_PLAIN, **ODD}[name]
    module = getattr(transformers, architecture)(getattr(transformers, config_class)(**config))
    module.eval().save_pretrained(directory)


def _save_sentence_transformer(_: str, directory: Path) -> None:
    """First token, a dense layer with tanh, normalised; texts cut at 48 tokens."""
    from safetensors.torch import save_file

    transformers.BertModel(transformers.BertConfig(**{**_TEXT, "vocab_size": len(VOCABULARY)})).save_pretrained(
        directory)
    tokenizer().save_pretrained(directory)
    _json(directory / "sentence_bert_config.json", {"max_seq_length": 48, "do_lower_case": True})
    parts = [("", "Transformer", ""), ("1_Pooling", "Pooling", "1_Pooling"), ("2_Dense", "Dense", "2_Dense"),
             ("3_Normalize", "Normalize", "3_Normalize")]
    _json(directory / "modules.json", [{"idx": index, "name": str(index), "path": path,
                                        "type": f"sentence_transformers.models.{kind}"}
                                       for index, (_, kind, path) in enumerate(parts)])
    _json(directory / "1_Pooling/config.json", {"word_embedding_dimension": 64, "pooling_mode_cls_token": True,
                                                "pooling_mode_mean_tokens": False})
    _json(directory / "2_Dense/config.json", {"in_features": 64, "out_features": 32, "bias": True,
                                              "activation_function": "torch.nn.modules.activation.Tanh"})
    save_file({"linear.weight": torch.randn(32, 64) * 0.2, "linear.bias": torch.randn(32) * 0.1},
              directory / "2_Dense/model.safetensors")
    (directory / "3_Normalize").mkdir(exist_ok=True)


def _json(file: Path, content: object) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """A WordPiece tokenizer that knows letters and some words, with BERT's special tokens."""
    words = {word: index for index, word in enumerate(VOCABULARY)}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return transformers.BertTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]",
                                          cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")


_WRITERS: Mapping[str, Callable[[str, Path], None]] = {"sentence-transformer": _save_sentence_transformer}
NAMES = (*_PLAIN, *_WRITERS)


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
