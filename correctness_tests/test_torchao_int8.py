"""torchao's int8: what its probe tells apart, and what it leaves alone."""

import numpy as np
import pytest
import torch

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.backends.torchao_int8 import _quantised
from eagerbench.models.loading import LoadedModel
from eagerbench.models.specs import resolve
from eagerbench.outputs.tolerance import compare


@pytest.fixture(autouse=True)
def _available():
    skip_unavailable("torchao-int8")


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["layer", "model"])
def test_compiled_float32_is_not_int8(workshops, whole):
    from torch._inductor.compile_fx import compile_fx

    from eagerbench.backends.compiled_runner import CompiledRunner

    variant, backend = backends.variants()["torchao-int8"]
    if whole:
        workshop = workshops("tiny-bert")
        runner, inputs = workshop.built("torch-compile").runner, workshop.inputs(20, 24)
    else:
        inputs = {"input": np.ones((8, 64), np.float32)}
        module = torch.nn.Linear(64, 64).eval().requires_grad_(False)
        runner = CompiledRunner(module, inputs, "cpu", compile_fx, {"freezing": True})
    engagement = backend.probe(variant, runner, inputs)
    assert not engagement.engaged
    assert engagement.facts["quantised_layers"] == engagement.facts["int8_products"] == 0


@pytest.mark.slow
def test_single_token(workshops):
    """Built for one token, as a case of one token builds it; recompiled without freezing it is wrong with AMX."""
    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(1, 1)
    variant, backend = backends.variants()["torchao-int8"]
    runner = backend.build(variant, workshop.model, inputs, workshop.placement)
    first, second = (runner.arrays(runner(runner.prepare(inputs))) for _ in range(2))
    expected = workshop.expected(inputs)
    comparison = compare(first, expected.outputs, expected.double, expected.mask, variant.tolerance, pretrained=False)
    assert not comparison.failures
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_every_linear_weight_is_quantised_and_the_process_left_alone(workshops):
    from torch._inductor import config
    from torchao.quantization import Int8Tensor

    before = config.get_config_copy()
    model = workshops("tiny-bert").model
    module = _quantised(model)
    linears = [part for part in module.modules() if isinstance(part, torch.nn.Linear)]
    assert linears
    assert all(isinstance(part.weight, Int8Tensor) for part in linears)
    assert config.get_config_copy() == before
    assert not any(isinstance(parameter, Int8Tensor) for parameter in model.module.parameters())


def test_what_would_stay_in_float32_is_refused_by_name():
    model = LoadedModel(resolve("tiny-bert", 0), torch.nn.TransformerEncoderLayer(8, 2, 16), None, False)
    with pytest.raises(ValueError, match=r"torchao leaves the MultiheadAttention and .* of TransformerEncoderLayer"):
        _quantised(model)
