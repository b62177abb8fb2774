"""optimum's BetterTransformer: what it converts, reverses and refuses, and the masks it cannot take."""

import numpy as np
import pytest

from conftest import skip_unavailable
from eagerbench.errors import CannotRun

NAME = "optimum-bettertransformer"
CONVERTED = {"tiny-bert": "Bert", "tiny-camembert": "Bert", "tiny-roberta": "Bert", "tiny-xlm-roberta": "Bert",
             "tiny-electra": "Bert", "tiny-distilbert": "DistilBert", "tiny-vit": "ViT", "tiny-gpt2": "GPT2Attention"}


@pytest.fixture(autouse=True)
def _available():
    skip_unavailable(NAME)


@pytest.mark.parametrize("model_name", CONVERTED)
def test_layers_are_converted_run_and_reversed_exactly(workshops, model_name):
    import torch

    from eagerbench.backends.optimum_bettertransformer import convert, converted_layers

    workshop = workshops(model_name)
    built = workshop.built(NAME)
    inputs = workshop.inputs(4, 16)
    engagement = built.backend.probe(built.variant, built.runner, inputs)
    assert engagement.engaged, engagement.summary
    assert converted_layers(built.runner.module) == {f"{CONVERTED[model_name]}LayerBetterTransformer": 2}
    reversed_ = convert(workshop.model.copy()).reverse_bettertransformer()
    assert not converted_layers(reversed_)
    before, after = workshop.model.module.state_dict(), reversed_.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    eager = workshop.reference.runner
    native = eager.prepare(inputs)
    again = type(eager)(reversed_)
    for one, other in zip(eager(native).values(), again(native).values(), strict=True):
        assert torch.equal(one, other)


def test_t5_is_refused_because_it_comes_out_wrong():
    import torch
    import transformers

    from eagerbench.backends.optimum_bettertransformer import convert

    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=100, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4,
                                   use_cache=False, decoder_start_token_id=0)
    module = transformers.T5Model(config).eval()
    with pytest.raises(ValueError, match="converts t5 wrongly"):
        convert(module)
    inputs = {name: torch.randint(1, 100, (2, 12)) for name in ("input_ids", "decoder_input_ids")}
    with torch.no_grad():
        right = module(**inputs).last_hidden_state
        wrong = module.to_bettertransformer()(**inputs).last_hidden_state
    assert (right - wrong).abs().max() > 0.1


def test_llama_is_refused():
    import transformers

    from eagerbench.backends.optimum_bettertransformer import convert

    config = transformers.LlamaConfig(vocab_size=100, hidden_size=64, intermediate_size=64, num_hidden_layers=1,
                                      num_attention_heads=4, attn_implementation="eager")
    with pytest.raises(ValueError, match="natively BetterTransformer"):
        convert(transformers.LlamaModel(config))


@pytest.mark.parametrize(("model_name", "rows", "reason"), [
    ("tiny-bert", 2, "padding on the right only"), ("tiny-gpt2", 1, "ignores the mask of a batch of one")])
def test_masks_it_cannot_take_are_refused(workshops, model_name, rows, reason):
    workshop = workshops(model_name)
    inputs = workshop.inputs(rows, 8)
    inputs["attention_mask"] = np.repeat([[0, 0, 1, 1, 1, 1, 1, 1]], rows, 0)
    with pytest.raises(CannotRun, match=reason):
        workshop.run(NAME, inputs)


