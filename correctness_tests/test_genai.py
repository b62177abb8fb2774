"""The runtimes' own loops of generation: their tokens against eager's, their clocks, and what they refuse."""

import numpy as np
import pytest

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.experiments.generation import Prompt
from eagerbench.outputs.parting import judge

WORK = Prompt(2, 9, 6, "dynamic")


@pytest.mark.parametrize(("name", "model_name"), [
    ("openvino-genai", "tiny-gpt2"), ("onnxruntime-genai", "tiny-llama"),
    *(pytest.param(name, "tiny-llama", marks=pytest.mark.slow) for name in (
        "openvino-genai", "openvino-genai-int8", "openvino-genai-int4", "onnxruntime-genai-int8",
        "onnxruntime-genai-int4"))])
def test_its_own_loop_gives_eagers_tokens(workshops, name, model_name):
    from eagerbench.measuring import greedy

    skip_unavailable(name)
    workshop = workshops(model_name)
    built = workshop.built(name)
    built.runner(built.runner.prepare(workshop.example()))
    assert built.backend.probe(built.variant, built.runner, workshop.example()).engaged
    module = built.backend.generator(built.variant, built.runner, workshop.model, "dynamic", workshop.placement)
    expected = greedy.expected(workshop.model, WORK.inputs(workshop.model), WORK.new_tokens)
    generate = greedy.Greedy(module, expected.inputs, WORK.new_tokens, WORK.cache, "cpu")
    first, found = (generate.generated(generate()) for _ in range(2))
    parting, comparison = judge(found, expected.generated, expected.double, built.variant.tolerance, pretrained=False)
    assert not comparison.failures
    assert parting.at is None or built.variant.tolerance != "exact-math"
    assert np.array_equal(first.logits, found.logits)
    assert (found.ids == found.logits.argmax(-1)).all()
    for clock in generate.clocks:
        assert len(clock) == WORK.new_tokens
        assert 0 < clock[0] <= clock[-1]
        assert clock == sorted(clock)


@pytest.mark.parametrize("name", ["openvino-genai", "onnxruntime-genai"])
def test_what_cannot_generate_is_refused(workshops, name):
    workshops("tiny-bert").built(name)  # skips, as refusals.py expects


@pytest.mark.parametrize("name", ["openvino-genai", "onnxruntime-genai"])
def test_their_cache_is_their_own(name):
    variant, backend = backends.variants()[name]
    assert backend.cannot_generate(variant, "dynamic") is None
    for cache in ("none", "static"):
        assert "a cache of its own" in backend.cannot_generate(variant, cache)
