"""Encoder layers as `torch.nn.TransformerEncoderLayer`: what converts, what is refused, when the fast path runs."""

import copy

import numpy as np
import pytest
import torch
import transformers

from eagerbench import backends
from eagerbench.backends.torch_runner import TorchRunner, profiled_operators
from eagerbench.models.encoder_layers import convert, encoder_layers, reverse

FAST_PATH = "aten::_transformer_encoder_layer_fwd"
NESTED = "aten::_nested_tensor_from_mask"
TINY = {"vocab_size": 99, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96,
        "initializer_range": 0.2, "attn_implementation": "sdpa"}
DISTILBERT = {**TINY, "dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 96}
VIT = {**TINY, "image_size": 16, "patch_size": 4, "num_labels": 5}
ENCODERS = {
    "BertForQuestionAnswering": TINY,
    "BertForMaskedLM": TINY,
    "BertModel": {**TINY, "hidden_act": "relu", "layer_norm_eps": 1e-3},
    "CamembertForTokenClassification": TINY,
    "DistilBertForSequenceClassification": DISTILBERT,
    "ElectraForPreTraining": {**TINY, "embedding_size": 16},
    "RobertaForSequenceClassification": TINY,
    "ViTForImageClassification": VIT,
    "XLMRobertaForMaskedLM": TINY,
}


def made(architecture: str, **config) -> torch.nn.Module:
    kind = getattr(transformers, architecture)
    torch.manual_seed(0)
    return kind(kind.config_class(**config)).eval().requires_grad_(False)


def example(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """A batch of images, or of 3 × 12 ids padded on the right to 12, 8 and 5."""
    rng = np.random.default_rng(0)
    if module.main_input_name == "pixel_values":
        return {"pixel_values": rng.standard_normal((3, 3, 16, 16)).astype(np.float32)}
    mask = (np.arange(12) < np.array([[12], [8], [5]])).astype(np.int64)
    return {"input_ids": rng.integers(5, 99, (3, 12)), "attention_mask": mask}


def outputs(module: torch.nn.Module, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    runner = TorchRunner(module)
    return runner.arrays(runner(runner.prepare(inputs)))


@pytest.fixture(params=ENCODERS)
def encoder(request) -> torch.nn.Module:
    return made(request.param, **ENCODERS[request.param])


def test_converted_gives_the_same(encoder):
    """On padded positions too: dense layers compute them as eager ones do."""
    inputs = example(encoder)
    expected = outputs(encoder, inputs)
    operators = profiled_operators(TorchRunner(convert(encoder)), inputs)
    assert operators[FAST_PATH] == len(encoder_layers(encoder)) == 3
    actual = outputs(encoder, inputs)
    assert set(actual) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-4, atol=1e-4 * np.abs(array).max())


def test_reverse_restores_every_bit(encoder):
    inputs = example(encoder)
    structure, weights, expected = repr(encoder), copy.deepcopy(encoder.state_dict()), outputs(encoder, inputs)
    assert "TransformerEncoderLayer" in repr(convert(encoder))
    reverse(encoder)
    assert repr(encoder) == structure
    restored = encoder.state_dict()
    assert list(restored) == list(weights)
    assert all(torch.equal(restored[name], value) for name, value in weights.items())
    actual = outputs(encoder, inputs)
    assert all(np.array_equal(actual[name], array) for name, array in expected.items())


def test_weights_exist_once_and_reverse_takes_those_of_now():
    module = made("BertModel", **TINY)
    size = sum(p.nbytes for p in module.parameters())
    assert sum(p.nbytes for p in convert(module).parameters()) == size
    with torch.no_grad():
        encoder_layers(module)[1].self_attn.in_proj_bias[64:128] = 7  # the keys' part
    moved = copy.deepcopy(module).to(torch.bfloat16)  # a copy takes its originals along
    assert (reverse(module).encoder.layer[1].attention.self.key.bias == 7).all()
    assert {p.dtype for p in reverse(moved).parameters()} == {torch.bfloat16}
    assert (moved.encoder.layer[1].attention.self.key.bias == 7).all()


REFUSED = {
    "GPT2LMHeadModel": ({"n_embd": 64, "n_layer": 1, "n_head": 4, "vocab_size": 99}, "its layers are GPT2Block"),
    "T5EncoderModel": ({"d_model": 64, "num_layers": 1, "num_heads": 4, "vocab_size": 99}, "T5Block"),
    "RoFormerModel": ({**TINY, "attn_implementation": "eager"}, "RoFormer"),
    "BertLMHeadModel": ({**TINY, "is_decoder": True}, "BertLayer is a decoder's"),
    "BertModel": ({**TINY, "hidden_act": "gelu_new"}, "activation is NewGELUActivation"),
    "RobertaModel": ({**TINY, "num_attention_heads": 1}, "it has 1 heads"),
    "ViTModel": ({**VIT, "qkv_bias": False}, "has no attention.k_proj.bias"),
    "ElectraModel": ({**TINY, "output_hidden_states": True}, "sets output_hidden_states"),
}


@pytest.mark.parametrize("architecture", REFUSED)
def test_refused_by_name_and_left_alone(architecture):
    config, reason = REFUSED[architecture]
    module = made(architecture, **config)
    before, structure = {name: id(p) for name, p in module.named_parameters()}, repr(module)
    with pytest.raises(ValueError, match=f"{architecture} cannot be converted: .*{reason}"):
        convert(module)
    assert repr(module) == structure
    assert {name: id(p) for name, p in module.named_parameters()} == before
    assert not any(p.is_meta for p in module.parameters())


def test_no_half_of_an_encoder_decoder():
    bert = transformers.BertConfig(**TINY)
    decoder = transformers.BertConfig(**TINY, is_decoder=True, add_cross_attention=True)
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(bert, decoder)
    module = transformers.EncoderDecoderModel(config)
    with pytest.raises(ValueError, match="EncoderDecoderModel cannot be converted: its BertLayer is a decoder's"):
        convert(module)
    assert not encoder_layers(module)
    assert not any(p.is_meta for p in module.parameters())


@pytest.mark.parametrize(("change", "reason"), [
    (lambda layer: setattr(layer.output.LayerNorm, "eps", 1e-3), "different eps"),
    (lambda layer: setattr(layer.attention.self, "scaling", 1.0), "scaled by 1"),
    (lambda layer: layer.register_parameter("gate", torch.nn.Parameter(torch.ones(1))), "has gate"),
    (lambda layer: layer.register_forward_hook(print), "forward hooks"),
    (lambda layer: setattr(layer.output, "dense", torch.nn.utils.skip_init(torch.nn.Bilinear, 96, 1, 64)), "Bilinear"),
])
def test_a_single_changed_layer_is_refused(change, reason):
    module = made("BertModel", **TINY)
    change(module.encoder.layer[2])
    with pytest.raises(ValueError, match=f"BertModel cannot be converted: .*{reason}"):
        convert(module)
    assert not encoder_layers(module)


def test_a_subclass_may_compute_anything():
    class Scaled(type(made("BertModel", **TINY).encoder.layer[0])):
        def forward(self, *args, **kwargs):
            return 2 * super().forward(*args, **kwargs)

    module = made("BertModel", **TINY)
    module.encoder.layer[0].__class__ = Scaled
    with pytest.raises(ValueError, match="it has a Scaled among its layers"):
        convert(module)


@pytest.mark.parametrize("nested", [False, True])
def test_no_fast_path_in_training_or_with_gradients(nested):
    module = convert(made("BertModel", **TINY), nested)
    inputs = {name: torch.from_numpy(array) for name, array in example(module).items()}

    def operators() -> list[int]:
        with torch.profiler.profile() as profile:
            module(**inputs)
        names = [event.name for event in profile.events()]
        return [names.count(FAST_PATH), names.count(NESTED)]

    assert operators() == [3, int(nested)]
    with torch.no_grad():
        module.train()
        assert operators() == [0, 0]
        module.eval()
        module.requires_grad_(True)
        assert operators() == [3, int(nested)]
    assert operators() == [0, 0]


def test_nested_computes_the_real_tokens_only():
    """Floating-point operations of the first product of a layer, by the profiler's own count."""
    module = made("BertModel", **TINY)
    dense, nested = convert(copy.deepcopy(module)), convert(module, nested=True)
    inputs = TorchRunner(dense).prepare(example(dense))

    def flops(module: torch.nn.Module) -> int:
        with torch.inference_mode(), torch.profiler.profile(with_flops=True) as profile:
            module(**inputs)
        return sum(event.flops or 0 for event in profile.key_averages() if event.key == "aten::mm")

    real = int(inputs["attention_mask"].sum())
    assert flops(nested) / flops(dense) == real / inputs["attention_mask"].numel() == 25 / 36
    states = outputs(nested, example(nested))["last_hidden_state"]
    assert (states[inputs["attention_mask"].numpy() == 0] == 0).all()


@pytest.mark.parametrize(("side", "engaged"), [("right", True), ("left", False)])
def test_nested_probe_counts_tokens(workshops, side, engaged):
    """Left padding runs dense: right (test_outputs.py), and not engaged."""
    workshop = workshops("tiny-bert")
    variant, backend = backends.variants()["bettertransformer-nested"]
    inputs = workshop.inputs(3, 11, padding_side=side)
    engagement = backend.probe(variant, workshop.built(variant.name).runner, inputs)
    assert engagement.engaged is engaged
    real, padded = int(inputs["attention_mask"].sum()), inputs["attention_mask"].size
    assert engagement.facts["tokens_computed"] == (real if engaged else padded)
    assert real < padded


def test_nested_without_padding_has_nothing_to_skip(workshops):
    variant, backend = backends.variants()["bettertransformer-nested"]
    workshop = workshops("tiny-bert")
    engagement = backend.probe(variant, workshop.built(variant.name).runner, workshop.inputs(1, 9))
    assert engagement.engaged
    assert engagement.facts["nested_conversions"] == 0
    with pytest.raises(ValueError, match="ViTModel cannot be converted with nested tensors"):
        convert(made("ViTModel", **VIT), nested=True)
    with pytest.raises(ValueError, match="accepts no attention mask: there is no padding to skip"):
        backend.build(variant, workshop.model, {"pixel_values": np.ones((1, 3, 16, 16), np.float32)},
                      workshop.placement)


def test_slow_path_puts_the_switch_back(workshops):
    workshop = workshops("tiny-bert")
    runner = workshop.built("bettertransformer-slow").runner
    for before in (True, False):
        torch.backends.mha.set_fastpath_enabled(before)
        try:
            runner(runner.prepare(workshop.inputs(2, 5)))
            with pytest.raises(ValueError, match="input_ids"):
                runner({})
            assert torch.backends.mha.get_fastpath_enabled() is before
        finally:
            torch.backends.mha.set_fastpath_enabled(True)


def test_other_masks_and_outputs_are_refused():
    module = convert(made("BertModel", **TINY))
    inputs = TorchRunner(module).prepare(example(module))
    causal = torch.ones(3, 1, 12, 12, dtype=torch.bool).tril()
    with pytest.raises(ValueError, match="differs between queries"):
        module(inputs["input_ids"], attention_mask=causal)
    with pytest.raises(ValueError, match="does not accept output_attentions"):
        module(**inputs, output_attentions=True)
    module.set_attn_implementation("eager")
    with pytest.raises(ValueError, match="set_attn_implementation"):
        module(**inputs)
