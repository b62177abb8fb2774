"""Neuron and CUDA as far as a machine without them reaches: the same runners around what runs here."""

import numpy as np
import pytest
import torch

from eagerbench import backends
from eagerbench.backends.cuda_runners import SettingsRunner
from eagerbench.backends.fixed_shape import FixedShapeRunner
from eagerbench.backends.torch_runner import profiled_operators
from eagerbench.outputs.tolerance import compare


@pytest.fixture
def traced(workshops):
    """The wrapper of the Neuron variant around `torch.jit.trace`, traced for 6 × 16."""
    workshop = workshops("tiny-bert@head=question-answering")
    variant, backend = backends.variants()["neuron"]
    example = workshop.inputs(6, 16)
    return workshop, backend.build_disengaged(variant, workshop.model, example, workshop.placement)


@pytest.mark.parametrize("shape", [(6, 16), (1, 1), (5, 9)])
@pytest.mark.parametrize("side", ["left", "right"])
def test_smaller_batches_are_padded_to_the_traced_shape(traced, shape, side):
    workshop, runner = traced
    expected = workshop.reference.compute(workshop.inputs(*shape, padding_side=side))
    outputs = runner.arrays(runner(runner.prepare(expected.inputs)))
    assert {array.shape for array in outputs.values()} == {shape}
    assert not compare(outputs, expected.outputs, expected.double, expected.mask, "exact-math", False).failures


def test_larger_batches_are_refused(traced):
    workshop, runner = traced
    with pytest.raises(ValueError, match="traced for 6 × 16, called with 6 × 17"):
        runner.prepare(workshop.inputs(6, 17))


def test_images_are_padded_by_rows_only():
    traced = {"inputs": ["pixel_values"], "outputs": ["x"], "shape": [4, 3]}
    runner = FixedShapeRunner(lambda pixels: (pixels * 2,), traced)
    pixels = np.ones((2, 3, 5, 5), np.float32)
    assert np.array_equal(runner.arrays(runner(runner.prepare({"pixel_values": pixels})))["x"], pixels * 2)


def test_attention_kernel_can_be_chosen(workshops):
    """sdpa_kernel holds for the CPU too, which has a flash kernel and no memory-efficient one."""
    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(2, 8)
    flash = profiled_operators(SettingsRunner(workshop.model.copy("sdpa"), "cpu", "flash"), inputs)
    assert sum(count for name, count in flash.items() if "dot_product_flash" in name) == 2
    runner = SettingsRunner(workshop.model.copy("sdpa"), "cpu", "efficient")
    with pytest.raises(RuntimeError, match=r"No (viable backend|available kernel)"):
        runner(runner.prepare(inputs))


def test_tf32_is_on_for_its_own_calls_only(workshops):
    workshop = workshops("tiny-bert")
    seen = []
    runner = SettingsRunner(workshop.model.copy(), "cpu", tf32=True)
    runner.module.register_forward_pre_hook(lambda *_: seen.append(torch.get_float32_matmul_precision()))
    before = torch.get_float32_matmul_precision()
    runner(runner.prepare(workshop.inputs(1, 4)))
    assert seen == ["high"]
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("name", ["neuron", "sdpa-flash-fp16", "cuda-graph"])
def test_without_the_accelerator_the_reason_says_what_is_missing(name):
    variant, backend = backends.variants()[name]
    reason = backend.unavailable(variant, "cpu")
    assert reason
    assert "torch_neuronx" in reason or "Neuron device" in reason or "runs on cuda, not on cpu" in reason
