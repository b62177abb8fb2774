"""Models that no list here names, given as a local directory: right, or refused with a reason that is expected."""

import pytest
import torch
import transformers

from conftest import Workshop

_SMALL = {"vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "initializer_range": 0.05, "num_labels": 16}
MODELS = {
    "albert": ("AlbertForSequenceClassification", transformers.AlbertConfig(
        **_SMALL, embedding_size=32, intermediate_size=128)),
    "mpnet": ("MPNetForSequenceClassification", transformers.MPNetConfig(**_SMALL, intermediate_size=128)),
    "opt": ("OPTForCausalLM", transformers.OPTConfig(
        vocab_size=1000, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, ffn_dim=128, init_std=0.05,
        word_embed_proj_dim=64)),
    "llama": ("LlamaForCausalLM", transformers.LlamaConfig(**_SMALL, intermediate_size=128)),
    "deit": ("DeiTForImageClassification", transformers.DeiTConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=32, patch_size=8,
        initializer_range=0.05, num_labels=16)),
}


@pytest.fixture(scope="session")
def unlisted(tmp_path_factory, store, placement):
    """`unlisted(name)`: the workshop of a directory as `save_pretrained` writes it."""
    made = {}

    def workshop(name: str) -> Workshop:
        if name not in made:
            directory = tmp_path_factory.mktemp("models") / f"unlisted-{name}"
            architecture, config = MODELS[name]
            torch.manual_seed(0)
            getattr(transformers, architecture)(config).save_pretrained(directory)
            made[name] = Workshop(str(directory), store, placement)
        return made[name]

    return workshop


@pytest.mark.parametrize("model_name", list(MODELS))
def test_right_or_refused(unlisted, model_name, variant_name):
    workshop = unlisted(model_name)
    assert not workshop.compared(variant_name, workshop.inputs(4, 24)).failures
