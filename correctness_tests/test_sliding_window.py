"""Generation past a sliding window, by exported graphs that take past key values: eager's tokens and logits."""

import architectures
import numpy as np
import pytest

from conftest import Workshop, skip_unavailable
from eagerbench import backends
from eagerbench.experiments.generation import Prompt
from eagerbench.measuring.greedy import Greedy
from eagerbench.outputs.parting import judge

WINDOW = 16


@pytest.mark.parametrize("length", [8, 24])
@pytest.mark.parametrize("variant", ["onnxruntime", "torchscript"])
@pytest.mark.parametrize("name", ["mistral", pytest.param("gemma2", marks=pytest.mark.slow),
                                  pytest.param("llama", marks=pytest.mark.slow)])
def test_tokens_past_the_window_are_eagers(tmp_path, store, placement, name, variant, length):
    skip_unavailable(variant, placement)
    workshop = Workshop(str(architectures.save(name, tmp_path / name)), store, placement)
    chosen, backend = backends.variants()[variant]
    model, work = workshop.model, Prompt(2, length, 12, "dynamic")
    assert length + work.new_tokens > WINDOW
    inputs = work.inputs(model)
    eager = Greedy(model.module, inputs, work.new_tokens, "dynamic", "cpu")
    expected = eager.generated(eager())
    module = backend.generator(chosen, workshop.built(variant).runner, model, "dynamic", placement)
    greedy = Greedy(module, inputs, work.new_tokens, "dynamic", "cpu")
    parting, comparison = judge(greedy.generated(greedy()), expected, expected.logits.astype(np.float64),
                                chosen.tolerance, False)
    assert parting.at is None
    assert not [line for line in comparison.failures if "RMSE" not in line]  # float32's own is no float64 reference
