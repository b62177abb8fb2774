"""Generation: cached and uncached paths give eager's tokens; where tokens part is found and judged."""

import numpy as np
import pytest
from made_records import made

from eagerbench import backends
from eagerbench.experiments.generation import Prompt, tables
from eagerbench.models import specs
from eagerbench.outputs.parting import Generated, before, judge, part
from eagerbench.results.decode import BadRecord

WORK = Prompt(3, 9, 6, "dynamic")
CAUSAL = ("tiny-gpt2", "tiny-bloom", "tiny-llama")
# What a graph with past key values is built from; one of each kind in the quick tests.
GRAPHS = [("torchscript-freeze", "tiny-gpt2"), ("onnxruntime", "tiny-llama"), ("openvino", "tiny-gpt2"),
          ("openvino-int8-weights", "tiny-llama"),
          *(pytest.param(variant, model, marks=pytest.mark.slow) for variant, model in (
              ("torchscript", "tiny-llama"), ("torchscript-optimized", "tiny-llama"), ("onnxruntime-int8", "tiny-gpt2"),
              ("onnxruntime", "tiny-bloom"), ("onnxruntime", "tiny-gpt2"),
              ("openvino", "tiny-llama"), ("openvino", "tiny-bloom"), ("openvino-int4-weights", "tiny-gpt2")))]


@pytest.fixture
def generated(workshops):
    """`generated(model, variant, cache)`: what a variant generates, and what it must."""
    from dataclasses import replace

    from eagerbench.measuring import greedy

    def run(model_name, variant_name, cache):
        workshop = workshops(model_name)
        built, work = workshop.built(variant_name), replace(WORK, cache=cache)
        assert built.backend.cannot_generate(built.variant, cache) is None
        module = built.backend.generator(built.variant, built.runner, workshop.model, cache, workshop.placement)
        expected = greedy.expected(workshop.model, work.inputs(workshop.model), work.new_tokens)
        generate = greedy.Greedy(module, expected.inputs, work.new_tokens, work.cache, workshop.model.device)
        return generate.generated(generate()), expected, built.variant.tolerance

    return run


@pytest.mark.parametrize("model_name", CAUSAL)
@pytest.mark.parametrize("cache", ["none", "dynamic", "static"])
def test_every_cache_gives_the_same_tokens(generated, model_name, cache):
    found, expected, tolerance = generated(model_name, "eager", cache)
    parting, comparison = judge(found, expected.generated, expected.double, tolerance, pretrained=False)
    assert parting.at is None
    assert not comparison.failures
    assert found.ids.shape == (3, 6)
    assert (found.ids == found.logits.argmax(-1)).all()


@pytest.mark.parametrize(("graph", "model_name"), GRAPHS)
@pytest.mark.parametrize("cache", ["none", "dynamic"])
def test_graphs_generate_with_and_without_past_key_values(generated, graph, model_name, cache):
    found, expected, tolerance = generated(model_name, graph, cache)
    parting, comparison = judge(found, expected.generated, expected.double, tolerance, pretrained=False)
    assert not comparison.failures
    assert parting.at is None or tolerance != "exact-math"


def test_a_growing_cache_computes_one_token_a_step(workshops):
    """The prompt at once, then one token a call, with keys and values of all before it."""
    import torch

    from eagerbench.backends.generating import WithPast, growing
    from eagerbench.measuring.greedy import Greedy

    model = workshops("tiny-llama").model
    whole, seen = WithPast(model.copy()).eval(), []

    def call(ids, mask, past):
        seen.append((ids.shape[1], mask.shape[1], past[0].shape[2]))
        with torch.no_grad():
            return whole(ids, mask, *past)

    Greedy(growing(model, call), WORK.inputs(model), WORK.new_tokens, WORK.cache, "cpu")()
    assert seen == [(9, 9, 0), *((1, 10 + step, 9 + step) for step in range(5))]


@pytest.mark.slow
def test_compiled_generation_runs_compiled(workshops):
    """Graphs for the prompt and for one token are compiled by the first call, and none after it."""
    from dataclasses import replace

    from eagerbench.backends.building import build
    from eagerbench.measuring import greedy

    workshop, work = workshops("tiny-gpt2"), replace(WORK, cache="static")
    built = build("torch-compile", workshop.model, work.inputs(workshop.model), workshop.placement, workshop.store)
    expected = greedy.expected(workshop.model, work.inputs(workshop.model), work.new_tokens)
    plain = built.runner.graphs
    generate = greedy.Greedy(built.runner.generating(), expected.inputs, work.new_tokens, work.cache, "cpu")
    first, second = generate.generated(generate()), generate.generated(generate())
    assert built.runner.graphs == plain + 2
    assert not built.runner.recompilations
    assert (first.ids == expected.generated.ids).all()
    assert (second.ids == first.ids).all()


def _eager(ids):
    ids = np.array(ids)
    logits = np.zeros((*ids.shape, 10), np.float32)
    np.put_along_axis(logits, ids[..., None], 2.0, -1)
    logits[..., 9] = 1.5
    return Generated(ids, logits)


def test_where_tokens_part():
    eager = _eager([[1, 2, 3, 4], [5, 6, 7, 8]])
    same = part(eager.ids, eager)
    assert (same.at, same.gap, same.common.tolist()) == (None, None, [4, 4])
    other = part(np.array([[1, 2, 3, 9], [5, 9, 0, 0]]), eager)
    assert (other.at, other.gap, other.common.tolist()) == (2, 0.5, [3, 1])
    assert before(eager.logits, other).shape == (4 + 2, 10)
    assert part(np.array([[0, 2, 3, 4], [5, 6, 7, 8]]), eager).gap == 2
    later = part(np.array([[1, 2, 0, 4], [5, 9, 7, 8]]), eager)
    assert (later.at, later.gap, later.gaps.tolist()) == (2, 0.5, [2, 0.5])  # the gap where they part first


def test_a_token_that_eager_would_not_take_fails():
    """With logits that are right: what is chosen is judged too. A near tie may go either way."""
    eager = _eager([[1, 2, 3, 4]])
    wrong = Generated(np.array([[1, 2, 0, 4]]), eager.logits)
    both = _eager([[1, 2, 3, 4], [5, 6, 7, 8]])
    late = Generated(np.array([[1, 9, 3, 4], [5, 6, 0, 8]]), both.logits)  # a narrow gap first, a wide one later
    _, comparison = judge(late, both, both.logits.astype(np.float64), "quantised", pretrained=False)
    assert not comparison.failures
    _, comparison = judge(late, both, both.logits.astype(np.float64), "exact-math", pretrained=False)
    assert "at token 3 of 4 of text 1, where eager prefers its own by 2" in comparison.failures[-1]
    for tolerance in ("exact-math", "reduced-precision"):
        _, comparison = judge(wrong, eager, eager.logits.astype(np.float64), tolerance, pretrained=False)
        assert "parts from eager's tokens at token 3 of 4 of text 0, where eager prefers its own by 2" in \
            comparison.failures[-1]
    eager.logits[0, 2, 9] = 2.0 - 1e-5
    tie = Generated(np.array([[1, 2, 9, 4]]), eager.logits)
    parting, comparison = judge(tie, eager, eager.logits.astype(np.float64), "exact-math", pretrained=False)
    assert (parting.at, comparison.failures) == (3, ())


def test_refusals_are_in_the_plan():
    def refusal(model_name, variant_name, cache, tokens=8):
        return Prompt(1, tokens, 4, cache).refuses(specs.resolve(model_name, 0), *backends.variants()[variant_name])

    assert "tiny-bert is no causal language model" in refusal("tiny-bert", "eager", "dynamic")
    assert "gpt2 accepts at most 1024 tokens" in refusal("gpt2", "eager", "none", 1021)
    assert refusal("gpt2", "eager", "none", 1020) is None
    assert "a static cache only" in refusal("gpt2", "torch-compile", "dynamic")
    assert "past key values that grow" in refusal("gpt2", "onnxruntime", "static")
    assert "state that grows" in refusal("gpt2", "openvino", "static")
    assert refusal("gpt2", "openvino", "dynamic") is None
    assert "without a cache only" in refusal("gpt2", "openvino-int8", "dynamic")
    assert "serves one shape" in refusal("gpt2", "openvino-static", "none")
    assert "serves one shape" in refusal("gpt2", "torchscript-onednn", "none")


def test_prompts_are_full_and_decided_by_the_seed(workshops):
    model = workshops("tiny-gpt2").model
    inputs, other = WORK.inputs(model), Prompt(3, 9, 6, "dynamic", seed=1).inputs(model)
    assert {array.shape for array in inputs.values()} == {(3, 9)}
    assert inputs["attention_mask"].all()
    assert np.array_equal(inputs["input_ids"], WORK.inputs(model)["input_ids"])
    assert not np.array_equal(inputs["input_ids"], other["input_ids"])


def test_table_says_where_tokens_part():
    common = {"batch_size": 1, "sequence_length": 8, "new_tokens": 4, "time_to_first_token_s": 0.01,
              "time_per_output_token_s": 0.002, "max_abs_error": 0.0, "largest_gap_allowed": 3.0}
    other = {**common, "variant": "bnb-int8", "cache": "static", "tokens_per_s": 50.0, "identical_ids": False,
             "parted_at": 2, "logit_gap": 0.25}
    eager = made("generation", **common, variant="eager", cache="dynamic", tokens_per_s=100.0, identical_ids=True,
                 speedup_vs_eager=1.0, speedup_low=0.9, speedup_high=1.1)
    grid, = tables("m", [made("generation", **other), eager])
    assert grid.title == "m: generation, batch 1, 8 tokens and 4 new ones"
    assert [row[:7] for row in grid.rows] == [
        ["eager", "dynamic", "100.0", "1.00 [0.90, 1.10]", "10.0 ms", "2.0 ms", "eager's"],
        ["bnb-int8", "static", "50.0", "–", "10.0 ms", "2.0 ms", "differs at 2, gap 0.25 (of 3)"]]
    assert len(tables("m", [eager, made("generation", **{**other, "batch_size": 8})])) == 2


def test_where_tokens_part_is_in_the_record():
    with pytest.raises(BadRecord, match="parted_at and logit_gap are missing"):
        made("generation", identical_ids=False, parted_at=2)
