"""Small models of many architectures, each written as a directory as its users have it: random weights from a seed."""

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


def save(name: str, directory: Path) -> Path:
    """Write the model `name` of NAMES into `directory`, made if it is not there.

    Returns:
        The directory, ready for `--model`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    _WRITERS.get(name, _save_plain)(name, directory)
    return directory


def _save_plain(name: str, directory: Path) -> None:
    architecture, config_class, config = _PLAIN[name]
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
