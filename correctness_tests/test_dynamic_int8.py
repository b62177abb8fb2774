"""PyTorch's dynamic int8: refusals, and what the probe of the traced one tells apart."""

import warnings

import pytest
import torch

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.backends.int8_linears import engine, quantise
from eagerbench.backends.torch_runner import TorchRunner


@pytest.fixture
def quantised(workshops):
    """The int8 runner of a tiny model, with inputs."""
    skip_unavailable("dynamic-int8")
    workshop = workshops("tiny-bert")
    return workshop.built("dynamic-int8").runner, workshop.inputs(2, 8)


def test_every_linear_layer_is_quantised(quantised, workshops):
    runner, inputs = quantised
    variant, backend = backends.variants()["dynamic-int8"]
    linears = sum(isinstance(part, torch.nn.Linear) for part in workshops("tiny-bert").model.module.modules())
    facts = backend.probe(variant, runner, inputs).facts
    assert (facts["quantised_layers"], facts["onednn_int8_products"], facts["float_products"]) == (linears, linears, 0)


def test_int8_that_is_not_traced_is_not_the_traced_variant(quantised):
    runner, inputs = quantised
    variant, backend = backends.variants()["dynamic-int8-torchscript"]
    engagement = backend.probe(variant, runner, inputs)
    assert not engagement.engaged
    assert "not a ScriptModule" in engagement.summary


def test_layers_that_would_stay_in_float32_are_named():
    with pytest.raises(ValueError, match=r"leaves the MultiheadAttention and NonDynamicallyQuantizableLinear layers of "
                                         r"TransformerEncoderLayer in float32"):
        quantise(torch.nn.TransformerEncoderLayer(8, 2, 16))
    with pytest.raises(ValueError, match=r"Conv2d has no torch\.nn\.Linear"):
        quantise(torch.nn.Conv2d(1, 1, 1))


def test_another_engine_is_seen(workshops):
    """FBGEMM, PyTorch's default on x86, runs the same operator with the same numbers and without oneDNN."""
    skip_unavailable("dynamic-int8")
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this PyTorch has no FBGEMM")
    from torch.ao.quantization import quantize_dynamic

    workshop = workshops("tiny-bert")
    with engine(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.backends.quantized.engine = "fbgemm"
        module = quantize_dynamic(workshop.model.copy(), {torch.nn.Linear}, dtype=torch.qint8)
    variant, backend = backends.variants()["dynamic-int8"]
    engagement = backend.probe(variant, TorchRunner(module), workshop.inputs(2, 8))
    assert not engagement.engaged
    assert engagement.facts["int8_products"] > 0
    assert engagement.facts["onednn_int8_products"] == 0
