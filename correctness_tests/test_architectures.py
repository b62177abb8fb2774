"""Architectures that probes and exporters trip over: right and engaged, or refused with a reason that says why."""

import architectures
import pytest
import torch
from architectures import FACTORIES, NAMES, ODD

from conftest import Workshop, skip_unavailable
from eagerbench import backends
from eagerbench.backends.building import build
from eagerbench.backends.products import called, products
from eagerbench.errors import CannotRun
from eagerbench.measuring.one_path import other_path

QUICK = (("no_product", "openvino"), ("bare_products", "openvino"), ("convolution", "openvino"),
         ("no_product", "torchscript-onednn"), ("t5-encoder", "openvino"), ("tied", "dynamic-int8"),
         ("t5-encoder", "dynamic-int8"), ("bias_free", "onnxruntime-int8"), ("fnet", "sdpa"), ("t5-encoder", "sdpa"),
         ("longformer", "dynamic-int8"), ("longformer", "bnb-nf4"))
# Nothing to do, or an upstream limit: what the reason says. Everything else must run.
REASONS = {
    ("no_product", "onnxruntime-int8"): "no matrix product or convolution to run in int8",
    ("no_product", "openvino-int8"): "no matrix product or convolution to run in int8",
    ("convolution", "dynamic-int8"): r"has no torch\.nn\.Linear to quantise",
    ("gemma", "torchscript-onednn"): "tanh-approximated GELU as the exact one",
    ("t5-encoder", "torchscript-onednn"): "wrong bucket: its logarithm is off by 2e-6",
    ("fnet", "sdpa"): "has no SDPA attention to choose",
    ("fnet", "onnxruntime"): "the ONNX exporter knows no aten::fft_fftn",
    ("llama", "onnxruntime-dynamo"): "ONNX Runtime cannot run the RotaryEmbedding of this export",
}
SLOW_VARIANTS = ("eager", "sdpa", "torchscript", "torchscript-optimized", "torchscript-onednn", "onnxruntime",
                 "onnxruntime-fused", "onnxruntime-int8", "openvino", "openvino-int8", "dynamic-int8", "bnb-nf4",
                 "torch-compile")


@pytest.fixture(scope="session")
def small(tmp_path_factory, store, placement):
    """`small(name)`: the workshop of an architecture."""
    made = {}

    def workshop(name: str) -> Workshop:
        if name not in made:
            directory = tmp_path_factory.mktemp("small") / name
            text = (str(architectures.save(name, directory)) if name not in FACTORIES
                    else f"architectures:{name}")
            made[name] = Workshop(text, store, placement)
        return made[name]

    return workshop


def right_and_engaged(workshop, model_name: str, variant_name: str) -> None:
    skip_unavailable(variant_name, workshop.placement)
    variant, backend = backends.variants()[variant_name]
    inputs = workshop.inputs(4, 32)
    example = inputs if backend.per_workload else workshop.example()
    expected = REASONS.get((model_name, variant_name))
    if expected:
        with pytest.raises(CannotRun, match=expected) as reason:
            build(variant_name, workshop.model, example, workshop.placement, workshop.store)
        assert "\n" not in str(reason.value)
        return
    runner = build(variant_name, workshop.model, example, workshop.placement, workshop.store).runner
    for _ in range(3):
        outputs = runner(runner.prepare(inputs))
    engagement = backend.probe(variant, runner, inputs)
    assert engagement.engaged, engagement.summary
    reference = workshop.expected(inputs)
    from eagerbench.outputs.tolerance import compare

    assert not compare(runner.arrays(outputs), reference.outputs, reference.double, reference.mask, variant.tolerance,
                       False).failures


@pytest.mark.parametrize(("model_name", "variant"), QUICK)
def test_what_could_be_optimised_was(small, model_name, variant):
    right_and_engaged(small(model_name), model_name, variant)


@pytest.mark.slow
@pytest.mark.parametrize("variant", SLOW_VARIANTS)
@pytest.mark.parametrize("model_name", [*NAMES, *ODD, *FACTORIES])
def test_every_architecture(small, model_name, variant):
    workshop = small(model_name)
    try:
        right_and_engaged(workshop, model_name, variant)
    except CannotRun as reason:
        pytest.skip(str(reason))
    except Exception:  # an exported graph may be unable to follow the model to another size
        backend = backends.variants()[variant][1]
        other = other_path(workshop.model, workshop.example(), workshop.inputs(4, 32))
        if backend.per_workload or other is None:
            raise
        pytest.skip(other)


@pytest.mark.parametrize(("name", "expected"), [
    ("tied", (3, 0, 0, 0)), ("no_product", (0, 0, 0, 0)), ("convolution", (0, 0, 0, 1)), ("bias_free", (3, 0, 0, 0))])
def test_products_of_a_call_are_counted(name, expected):
    module = getattr(architectures, name)().eval()
    ids = torch.ones(2, 5, dtype=torch.long)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found = products(module, lambda: module(ids, ids))
        assert (found.weighted, found.free, found.batched, found.convolutions) == expected
        assert bool(found) == any(expected)


def test_layers_that_do_not_run_are_not_needed():
    class Half(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)

        def forward(self, rows):
            return self.used(self.used(rows)) @ rows.T

    module, rows = Half(), torch.ones(3, 2)
    assert called(module, lambda part: isinstance(part, torch.nn.Linear), lambda: module(rows)) == 1
    found = products(module, lambda: module(rows))
    assert (found.weighted, found.free) == (2, 1)
    assert not module.used._forward_pre_hooks


@pytest.mark.parametrize(("name", "takes_another"), [("bigbird", True), ("longformer", True), ("modernbert", False)])
def test_another_path_at_another_size_is_seen(small, name, takes_another):
    workshop = small(name)
    reason = other_path(workshop.model, workshop.example(), workshop.inputs(4, 32))
    assert (reason is not None) == takes_another
    assert reason is None or "takes another branch at 4 × 32 than at 3 × 11" in reason
