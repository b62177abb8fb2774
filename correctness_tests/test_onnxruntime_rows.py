"""ONNX Runtime in static int8, with QAttention, and with inputs and outputs bound on the CPU."""

import numpy as np
import pytest

from conftest import skip_unavailable
from eagerbench import backends


@pytest.fixture(scope="module")
def tiny(workshops):
    skip_unavailable("onnxruntime")
    return workshops("tiny-bert")


def engagement(workshop, name, runner=None):
    built = workshop.built(name)
    return built.backend.probe(built.variant, runner or built.runner, workshop.inputs(2, 9))


@pytest.mark.parametrize(("flags", "types"), [
    ("avx2 avx512f avx512_vnni", ("QUInt8", False)), ("avx2 avx_vnni", ("QUInt8", False)),
    ("avx avx2 fma", ("QUInt8", True)), ("asimd asimddp", ("QInt8", False))])
def test_types_fit_the_processors_product(flags, types):
    from eagerbench.backends.onnx_convert import static_types

    assert static_types(flags.split()) == types


@pytest.mark.parametrize("name", ["onnxruntime-static-int8", "onnxruntime-int8-qattention", "onnxruntime-iobinding"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_outputs_are_eagers_within_the_class(tiny, name, side):
    assert not tiny.compared(name, tiny.inputs(20, 12, padding_side=side)).failures


def test_static_ranges_are_not_found_in_the_call(tiny):
    """Of dynamic quantisation they are: the probe of one tells it from the other."""
    found = engagement(tiny, "onnxruntime-static-int8")
    assert found.engaged
    assert found.facts["ranges_found_in_call"] == 0
    assert found.facts["quantised_matmuls"] == found.facts["weighted_products"] == 14
    other = engagement(tiny, "onnxruntime-static-int8", tiny.built("onnxruntime-int8").runner)
    assert not other.engaged
    assert other.facts["ranges_found_in_call"] > 0
    assert not engagement(tiny, "onnxruntime-static-int8", tiny.built("onnxruntime").runner).engaged


def test_attention_is_quantised_as_one_operator(tiny):
    found = engagement(tiny, "onnxruntime-int8-qattention")
    assert found.engaged
    assert (found.facts["quantised_attention"], found.facts["softmax_left"]) == (2, 0)
    assert not engagement(tiny, "onnxruntime-int8-qattention", tiny.built("onnxruntime-int8").runner).engaged


def test_no_attention_fused_no_qattention(workshops):
    workshops("tiny-gpt2").built("onnxruntime-int8-qattention")  # skips, as refusals.py expects


def test_bound_arrays_are_written_in_place(tiny):
    runner = tiny.built("onnxruntime-iobinding").runner
    native, other = (runner.prepare(tiny.inputs(3, 11, padding_side=side)) for side in ("right", "left"))
    (first,) = runner(native)
    kept = runner.arrays([first])["logits"]
    (second,) = runner(other)
    assert first is native.outputs["logits"]
    assert second is other.outputs["logits"]
    assert np.array_equal(first, kept)
    assert not np.shares_memory(first, kept)
    assert engagement(tiny, "onnxruntime-iobinding").engaged
    assert not engagement(tiny, "onnxruntime-iobinding", tiny.built("onnxruntime").runner).engaged


def test_an_output_of_unknown_shape_is_left_to_the_runtime(tiny, monkeypatch):
    runner = tiny.built("onnxruntime-iobinding").runner
    inputs = tiny.inputs(3, 11)
    (expected,) = runner(runner.prepare(inputs))
    monkeypatch.setattr(type(runner), "_allocated", lambda self, arrays: {})
    (found,) = runner(runner.prepare(inputs))
    assert np.array_equal(found, expected)
    assert not engagement(tiny, "onnxruntime-iobinding").engaged


def test_what_is_packaged_and_what_is_not(tiny):
    variant, backend = backends.variants()["onnxruntime-static-int8"]
    assert backend.opened_by(variant, tiny.placement) == backends.variants()["onnxruntime"][1].opened_by(
        backends.variants()["onnxruntime"][0], tiny.placement)
    variant, backend = backends.variants()["onnxruntime-iobinding"]
    assert backend.opened_by(variant, tiny.placement) is None
    assert "package that" in backend.unpackaged
