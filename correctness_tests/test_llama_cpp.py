"""llama.cpp: what its files hold, what is refused in plain words, positions and padding, its own loop."""

from collections import Counter

import numpy as np
import pytest
from own_loops import generates_eagers_tokens

from conftest import Workshop, skip_unavailable
from eagerbench import backends
from eagerbench.errors import CannotRun

NAME = "llama-cpp"
TINY = ("tiny-gpt2", "tiny-llama")
WIDE = ("wide_models:gpt2", "wide_models:llama")  # Q4_K's blocks are of 256 weights
KINDS = {NAME: "F32", f"{NAME}-q8_0": "Q8_0", f"{NAME}-q4_k": "Q4_K"}


@pytest.fixture(autouse=True)
def _available():
    skip_unavailable(NAME)


@pytest.fixture(scope="module")
def wide(store, placement):
    """`wide(name)`: the workshop of a model whose widths are multiples of 256."""
    made: dict[str, Workshop] = {}
    return lambda name: made.setdefault(name, Workshop(name, store, placement))


@pytest.mark.parametrize("model_name", WIDE)
@pytest.mark.parametrize("name", KINDS)
def test_the_types_in_the_file_are_those_asked_for(wide, model_name, name):
    from eagerbench.backends.gguf_file import TYPES

    workshop, inputs = wide(model_name), wide(model_name).inputs(2, 8)
    built = workshop.built(name)
    engagement = built.backend.probe(built.variant, built.runner, inputs)
    assert engagement.engaged, engagement.summary
    assert set(built.runner.types) <= set(TYPES[KINDS[name]])
    assert not workshop.compared(name, inputs).failures
    switched_off = built.backend.build_disengaged(built.variant, workshop.model, inputs, workshop.placement)
    assert not built.backend.probe(built.variant, switched_off, inputs).engaged


def test_another_type_in_one_weight_is_not_engaged(wide):
    """What llama.cpp does in silence where a width is no multiple of its block."""
    built = wide(WIDE[0]).built(f"{NAME}-q4_k")
    inputs = wide(WIDE[0]).inputs(2, 8)
    kept = built.runner.types
    try:
        built.runner.types = kept + Counter(Q8_0=1)
        assert not built.backend.probe(built.variant, built.runner, inputs).engaged
        built.runner.types = Counter(Q6_K=9, Q4_K=1)
        assert not built.backend.probe(built.variant, built.runner, inputs).engaged
    finally:
        built.runner.types = kept


def test_quantised_weights_are_smaller(wide):
    sizes = {name: wide(WIDE[1]).built(name).backend.weights_bytes(wide(WIDE[1]).built(name).runner) for name in KINDS}
    assert sizes[f"{NAME}-q8_0"] < 0.3 * sizes[NAME]
    assert sizes[f"{NAME}-q4_k"] < 0.7 * sizes[f"{NAME}-q8_0"]


@pytest.mark.parametrize("model_name", TINY)
def test_left_padding_keeps_the_positions(workshops, model_name):
    workshop = workshops(model_name)
    for side in ("left", "right"):
        assert not workshop.compared(NAME, workshop.inputs(4, 12, padding_side=side)).failures


def test_llama_in_float32_is_exact(workshops):
    """GPT-2 is not: its GELU is a table of float16. Nor is LLaMA with llama.cpp's flash attention, its default."""
    from eagerbench.backends.llama_cpp import FILE
    from eagerbench.backends.llama_cpp_runner import LlamaRunner
    from eagerbench.outputs.tolerance import compare

    workshop = workshops("tiny-llama")
    inputs = workshop.inputs(4, 12)
    expected = workshop.expected(inputs)

    def failures(cache):
        loaded = LlamaRunner(workshop.built(NAME).directory / FILE, cache, 1)
        outputs = loaded.arrays(loaded(loaded.prepare(inputs)))
        return compare(outputs, expected.outputs, expected.double, expected.mask, "exact-math",
                       pretrained=False).failures

    assert not failures("f32")
    assert failures("f16")


def test_a_hole_in_a_row_is_refused(workshops):
    workshop = workshops("tiny-gpt2")
    inputs = workshop.inputs(2, 6)
    inputs["attention_mask"] = np.array([[1, 1, 0, 1, 1, 0]] * 2)
    with pytest.raises(CannotRun, match="no padding between them"):
        workshop.run(NAME, inputs)


def test_more_sequences_than_it_takes_are_refused(workshops):
    workshop = workshops("tiny-gpt2")
    with pytest.raises(CannotRun, match="sequences at a time, not 5000"):
        workshop.built(NAME).runner.context(5000, 8)


def test_outputs_survive_a_larger_batch(workshops):
    """A call returns the library's memory; a larger batch makes another context, and this one's is kept."""
    workshop = workshops("tiny-llama")
    runner = backends.variants()[NAME][1].load(workshop.built(NAME).variant, workshop.built(NAME).directory,
                                               workshop.placement)
    returned = runner(runner.prepare(workshop.inputs(2, 8)))
    before = runner.arrays(returned)["logits"]
    runner(runner.prepare(workshop.inputs(9, 200)))
    assert np.array_equal(runner.arrays(returned)["logits"], before)
    assert runner.threads == workshop.placement.threads


def test_rotary_positions_without_the_permutation_are_wrong(workshops, monkeypatch, tmp_path):
    from eagerbench.backends import gguf_file
    from eagerbench.backends.llama_cpp_runner import LlamaRunner
    from eagerbench.outputs.tolerance import compare

    workshop = workshops("tiny-llama")
    monkeypatch.setattr(gguf_file, "_interleaved", lambda array, heads: array)
    gguf_file.write(workshop.model, tmp_path / "wrong.gguf")
    runner, inputs = LlamaRunner(tmp_path / "wrong.gguf", "f32", 1), workshop.inputs(4, 12)
    expected = workshop.expected(inputs)
    assert compare(runner.arrays(runner(runner.prepare(inputs))), expected.outputs, expected.double, expected.mask,
                   workshop.built(NAME).variant.tolerance, pretrained=False).failures


@pytest.mark.parametrize(("config", "says"), [
    ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "plain rotary positions"),
    ({"hidden_act": "gelu"}, "with SiLU"), ({"attention_bias": True}, None), ({"mlp_bias": True}, None)])
def test_another_llama_is_refused_or_right(config, says, tmp_path, placement):
    import torch
    import transformers

    from eagerbench.backends import gguf_file
    from eagerbench.backends.llama_cpp_runner import LlamaRunner
    from eagerbench.errors import Refused
    from eagerbench.models.loading import LoadedModel

    torch.manual_seed(0)
    module = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=200, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.2, attn_implementation="eager", **config)).eval()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    model = LoadedModel(None, module, None, pretrained=False)
    if says:
        with pytest.raises(Refused, match=says):
            gguf_file.write(model, tmp_path / "model.gguf")
        return
    gguf_file.write(model, tmp_path / "model.gguf")
    runner, ids = LlamaRunner(tmp_path / "model.gguf", "f32", 1), np.arange(14).reshape(2, 7)
    with torch.no_grad():
        expected = module(torch.from_numpy(ids)).logits.numpy()
    found = runner.arrays(runner(runner.prepare({"input_ids": ids})))["logits"]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("model_name", TINY)
def test_its_own_loop_generates_eagers_tokens(workshops, model_name):
    generates_eagers_tokens(workshops(model_name), NAME)
