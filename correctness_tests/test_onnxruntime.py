"""ONNX Runtime beyond what every variant is tested for: levels, I/O binding, providers, float16, shared exports."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY_MODELS, Workshop, skip_unavailable
from eagerbench import backends
from eagerbench.outputs.tolerance import compare

ENCODER_TWINS = [name for name in TINY_MODELS if name != "tiny-gpt2"]


@pytest.fixture
def plain(workshops):
    """The tiny model's workshop and its `onnxruntime` runner."""
    skip_unavailable("onnxruntime")
    workshop = workshops("tiny-bert")
    return workshop, workshop.built("onnxruntime").runner


@pytest.fixture
def session(plain):
    """`session(**settings)`: the tiny model's export in a session of other settings."""
    from eagerbench.backends.onnx_session import SessionRunner

    workshop, runner = plain
    file = workshop.built("onnxruntime").directory / "model.onnx"
    return lambda **settings: SessionRunner(file, runner.nodes, "cpu", 1, **settings)


def test_levels_run_different_graphs(plain, session):
    inputs = plain[0].example()
    ran = {level: Counter(node["op_name"] for node in session(level=level).profiled_nodes(inputs))
           for level in ("none", "basic", "all")}
    exported = plain[1].nodes["exported"]
    assert ran["none"] == {name: count for name, count in exported.items() if name != "Constant"}
    assert ran["basic"].total() < ran["none"].total()
    assert set(ran["basic"]) <= set(exported)
    assert {"BiasGelu", "FusedMatMul"} <= set(ran["all"])


@pytest.mark.parametrize("shape", [(1, 7), (5, 24)])
def test_bound_run_equals_the_plain_one(plain, session, shape):
    """The path of CUDA devices, on the CPU: inputs and outputs are bound, and a second call gives the same."""
    workshop, runner = plain
    inputs = workshop.inputs(*shape)
    bound = session(bind=True)
    native = bound.prepare(inputs)
    first, second = (bound.arrays(bound(native)) for _ in range(2))
    expected = session().arrays(session()(runner.prepare(inputs)))
    for name, array in expected.items():
        np.testing.assert_array_equal(first[name], array)
        np.testing.assert_array_equal(second[name], array)


def test_bound_outputs_stay_on_the_device(plain, session):
    import onnxruntime

    bound = session(bind=True)
    (output,) = bound(bound.prepare(plain[0].example()))
    assert isinstance(output, onnxruntime.OrtValue)
    assert output.device_name() == "cpu"


def test_a_provider_that_does_not_load_is_no_other_provider(session):
    import onnxruntime

    provider = "TensorrtExecutionProvider"
    if provider in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime has {provider}")
    with pytest.raises(ValueError, match=rf"{provider} did not load: ONNX Runtime took CPUExecutionProvider instead"):
        session(provider=provider)


def test_gpu_variants_say_what_they_need():
    for name in ("onnxruntime-tensorrt", "onnxruntime-fp16"):
        variant, backend = backends.variants()[name]
        assert backend.unavailable(variant, "cpu") == "runs on cuda, not on cpu"
    variant, backend = backends.variants()["onnxruntime-int8"]
    assert "for the CPU only" in backend.unavailable(variant, "cuda:0")


@pytest.fixture
def half(plain, tmp_path):
    """The float16 conversion, on the CPU: its provider computes it in float32 between casts."""
    from eagerbench.backends.base import Placement

    variant, backend = backends.variants()["onnxruntime-fp16"]
    workshop = plain[0]
    backend.export(variant, workshop.model, workshop.example(), tmp_path)
    return variant, backend, backend.load(variant, tmp_path, Placement("cpu", 1))


@pytest.mark.parametrize("side", ["right", "left"])
def test_float16_conversion_is_right(plain, half, side):
    workshop = plain[0]
    variant, _, runner = half
    inputs = workshop.inputs(20, 24, padding_side=side)
    expected = workshop.reference.compute(inputs)
    got = runner.arrays(runner(runner.prepare(inputs)))
    assert not compare(got, expected.outputs, expected.double, expected.mask, variant.tolerance, False).failures
    assert np.abs(got["logits"] - expected.outputs["logits"]).max() > 1e-5, "float32 throughout: nothing was converted"


def test_float16_computed_in_float32_is_not_engaged(plain, half):
    variant, backend, runner = half
    engagement = backend.probe(variant, runner, plain[0].example())
    assert not engagement.engaged
    assert engagement.summary.startswith("0 of "), engagement.summary


def test_an_export_is_made_once_and_its_cost_is_counted_for_each(plain, tmp_path):
    from eagerbench.backends import onnx_export
    from eagerbench.backends.artifacts import ArtifactStore
    from eagerbench.backends.building import build

    workshop = plain[0]
    inputs = workshop.example()
    shared = onnx_export.shared_export(workshop.model, inputs)
    again = onnx_export.shared_export(workshop.model, inputs)
    assert shared.file == again.file
    assert again.saved_s > 0
    for name in ("onnxruntime", "onnxruntime-int8"):
        content = shared.file.read_bytes()
        built = build(name, workshop.model, inputs, workshop.placement, ArtifactStore(tmp_path))
        assert built.build_s > again.saved_s
        assert shared.file.read_bytes() == content


def test_exports_beyond_the_limit_are_dropped(plain, workshops, monkeypatch):
    from eagerbench.backends import onnx_export

    monkeypatch.setattr(onnx_export, "_kept", {})
    monkeypatch.setattr(onnx_export, "_KEEP_BYTES", 1)
    files = []
    for name in ("tiny-bert", "tiny-distilbert"):
        workshop = workshops(name)
        files.append(onnx_export.shared_export(workshop.model, workshop.example()).file)
    assert [file.exists() for file in files] == [False, True]
    assert not files[0].parent.exists()


@pytest.mark.parametrize("model_name", ENCODER_TWINS)
def test_attention_fuses_in_every_block(workshops, model_name):
    skip_unavailable("onnxruntime-fused")
    facts = _probe(workshops(model_name), "onnxruntime-fused").facts
    assert (facts["fused_attention"], facts["softmax_left"]) == (2, 0)


def test_gpt2_attention_is_left_by_the_optimizer(workshops):
    """docs/backends.md says so: its matcher without a past knows no padding mask."""
    skip_unavailable("onnxruntime-fused")
    facts = _probe(workshops("tiny-gpt2"), "onnxruntime-fused").facts
    assert (facts["fused_attention"], facts["softmax_left"]) == (0, 2)


@pytest.mark.slow
def test_gpt2_attention_is_one_operator_in_the_dynamo_export(workshops):
    skip_unavailable("onnxruntime-dynamo")
    facts = _probe(workshops("tiny-gpt2"), "onnxruntime-dynamo").facts
    assert (facts["fused_attention"], facts["softmax_left"]) == (2, 0)


def _other_family(name: str, directory: Path) -> str:
    """A small random model of a family that is not in the catalog, saved as a user's directory."""
    import torch
    import transformers

    sizes = {"vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 128, "num_labels": 16, "initializer_range": 0.05}
    own = {"Albert": {"embedding_size": 32},
           "DebertaV2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}}.get(name, {})
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**sizes, **own)
    getattr(transformers, f"{name}ForSequenceClassification")(config).save_pretrained(directory)
    return str(directory)


@pytest.mark.parametrize("family", [
    "Albert",  # its layers share their weights
    pytest.param("MPNet", marks=pytest.mark.slow),
    pytest.param("DebertaV2", marks=pytest.mark.slow),
])
def test_families_outside_the_catalog_are_right(family, store, placement, tmp_path):
    """Tried as BERT by the optimizer: what it does not recognise stays as it is."""
    skip_unavailable("onnxruntime-fused")
    workshop = Workshop(_other_family(family, tmp_path), store, placement)
    for name in ("onnxruntime-fused", "onnxruntime-int8"):
        for side in ("right", "left"):
            assert not workshop.compared(name, workshop.inputs(20, 24, padding_side=side)).failures, (name, side)
        assert _probe(workshop, name).engaged


def _probe(workshop: Workshop, name: str):
    built = workshop.built(name)
    return built.backend.probe(built.variant, built.runner, workshop.example())
