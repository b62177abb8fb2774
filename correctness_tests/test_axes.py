"""Inputs of a user's own: any number, dtype and order of axes, by every backend that exports."""

import numpy as np
import pytest
import torch

from eagerbench import backends
from eagerbench.backends.axes import changing, dynamic_axes, output_axes
from eagerbench.backends.building import build
from eagerbench.errors import CannotRun
from eagerbench.measuring.reference import Reference
from eagerbench.models.loading import LoadedModel
from eagerbench.models.specs import ModelSpec
from eagerbench.outputs.tolerance import compare
from eagerbench.workloads import export_example
from eagerbench.workloads.padded_batch import PaddedBatch, own_inputs

SPEC = ModelSpec("own", "factory", "x:y", 0, None)


class Features(torch.nn.Module):
    """(batch, length, 5) features, a bool mask (batch, length), an int32 kind a row (batch,)."""

    def __init__(self):
        super().__init__()
        self.layer, self.kinds, self.head = torch.nn.Linear(5, 16), torch.nn.Embedding(4, 16), torch.nn.Linear(16, 3)

    def example_inputs(self, batch_size, sequence_length, seed):
        rng = np.random.default_rng(seed)
        return {"features": rng.standard_normal((batch_size, sequence_length, 5)),
                "real": np.arange(sequence_length)[None] <= rng.integers(1, sequence_length + 1, (batch_size, 1)),
                "kind": rng.integers(0, 4, batch_size).astype(np.int32)}

    def forward(self, features, real, kind):
        states = torch.relu(self.layer(features)) + self.kinds(kind)[:, None]
        weights = real[..., None].to(states.dtype)
        return {"per_step": self.head(states), "logits": self.head((states * weights).sum(1) / weights.sum(1))}


class LengthFirst(torch.nn.Module):
    """(length, batch, 5) features in half precision, as recurrent networks have them."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = torch.nn.Linear(5, 16), torch.nn.Linear(16, 3)

    def example_inputs(self, batch_size, sequence_length, seed):
        rng = np.random.default_rng(seed)
        return {"features": torch.from_numpy(rng.standard_normal((sequence_length, batch_size, 5))).half()}

    def forward(self, features):
        return self.head(torch.tanh(self.layer(features)).mean(0))


class Waves(torch.nn.Module):
    """(batch, 1, 4 samples a position): an axis that is a multiple of the length, and an input of fixed size."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = torch.nn.Conv1d(1, 8, 4, stride=4), torch.nn.Linear(8, 3)

    def example_inputs(self, batch_size, sequence_length, seed):
        rng = np.random.default_rng(seed)
        return {"waves": rng.standard_normal((batch_size, 1, 4 * sequence_length)), "scale": np.ones(1)}

    def forward(self, waves, scale):
        return self.head(torch.relu(self.layer(waves)).transpose(1, 2) * scale)


class Coinciding(torch.nn.Module):
    """Fixed axes as large as the rows and the length that exports are made with, 3 and 11."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(11, 3)

    def example_inputs(self, batch_size, sequence_length, seed):
        rng = np.random.default_rng(seed)
        return {"features": rng.standard_normal((batch_size, sequence_length, 11)), "weights": np.arange(1.0, 4)}

    def forward(self, features, weights):
        return self.head(features) * weights


MODULES = {"features": Features, "length-first": LengthFirst, "waves": Waves, "coinciding": Coinciding}
# One of each way to export; the others share its code.
QUICK = ("torchscript", "onnxruntime", "openvino")
SLOW = ("torchscript-freeze", "torch-compile", "torch-compile-dynamic", "aot-inductor", "onnxruntime-int8",
        "openvino-int8", "eager-bf16")


def loaded(kind: str) -> LoadedModel:
    torch.manual_seed(0)
    return LoadedModel(SPEC, MODULES[kind]().eval().requires_grad_(False), None, False)


def test_axes_are_found_by_other_sizes():
    assert dynamic_axes(loaded("features")) == {
        "features": {0: "batch", 1: "sequence"}, "real": {0: "batch", 1: "sequence"}, "kind": {0: "batch"}}
    assert dynamic_axes(loaded("length-first")) == {"features": {0: "sequence", 1: "batch"}}
    assert dynamic_axes(loaded("waves")) == {"waves": {0: "batch", 2: "size_44_44_32"}, "scale": {}}
    assert dynamic_axes(loaded("coinciding")) == {"features": {0: "batch", 1: "sequence"}, "weights": {}}
    assert output_axes(loaded("waves")) == {"output": {0: "batch", 1: "sequence"}}


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-vit", "tiny-wav2vec2", "tiny-whisper-encoder"])
def test_axes_of_the_catalog(workshops, name):
    found = dynamic_axes(workshops(name).model)
    assert found == {
        "tiny-bert": {key: {0: "batch", 1: "sequence"} for key in ("input_ids", "attention_mask", "token_type_ids")},
        "tiny-vit": {"pixel_values": {0: "batch"}},
        "tiny-wav2vec2": {"input_values": {0: "batch", 1: "size_3600_3600_2640"}},
        "tiny-whisper-encoder": {"input_features": {0: "batch"}}}[name]


def test_inputs_that_change_with_their_size_are_refused():
    with pytest.raises(ValueError, match="other names or axes"):
        changing([{"a": (3, 11)}, {"a": (5, 11)}, {"b": (3, 8)}])
    with pytest.raises(ValueError, match="other names or axes"):
        changing([{"a": (3, 11)}, {"a": (5, 11, 1)}, {"a": (3, 8)}])


@pytest.mark.parametrize("variant", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
@pytest.mark.parametrize("kind", list(MODULES))
def test_every_exporter_takes_them(kind, variant, store, placement):
    chosen, backend = backends.variants()[variant]
    if reason := backend.refuses(chosen, placement):
        pytest.skip(reason)
    model = loaded(kind)
    reference = Reference(model, "cpu")
    for shape in ((1, 7), (4, 11), (6, 20)):
        batch = PaddedBatch(*shape)
        example = (batch if backend.per_workload else export_example(model.spec)).inputs(model)
        if backend.per_workload or shape == (1, 7):
            runner = build(variant, model, example, placement, store).runner
        expected = reference.compute(batch.inputs(model))
        outputs = runner.arrays(runner(runner.prepare(expected.inputs)))
        assert not compare(outputs, expected.outputs, expected.double, None, chosen.tolerance, False).failures, shape
    if variant == "torch-compile-dynamic":  # no graph of its own for another size
        assert runner.recompilations == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(MODULES))
def test_torch_exports_exporter_takes_them(kind, tmp_path):
    """Not through its variant, which wants attention to export."""
    from eagerbench.backends.onnx_export import export_dynamo
    from eagerbench.backends.onnx_session import SessionRunner

    model = loaded(kind)
    export_dynamo(model, export_example(model.spec).inputs(model), tmp_path / "model.onnx")
    runner, reference = SessionRunner(tmp_path / "model.onnx", {}, "cpu", 1), Reference(model, "cpu")
    for shape in ((1, 7), (6, 20)):
        expected = reference.compute(PaddedBatch(*shape).inputs(model))
        outputs = runner.arrays(runner(runner.prepare(expected.inputs)))
        assert not compare(outputs, expected.outputs, expected.double, None, "exact-math", False).failures, shape


@pytest.mark.parametrize(("made", "says"), [
    (None, "returns NoneType; return a dict"), ({}, "returns dict; return a dict"), ({1: np.zeros(2)}, "returns dict"),
    ([np.zeros(2)], "returns list"), ({"a": np.array(["x"])}, "a is of dtype <U1"),
    ({"a": [[1], [2, 3]]}, "fails: ValueError")])
def test_example_inputs_that_are_none(made, says):
    module = torch.nn.Identity()
    module.example_inputs = lambda *_: made
    with pytest.raises(CannotRun, match=says):
        own_inputs(module, 2, 3, 0)


def test_example_inputs_that_fail():
    module = torch.nn.Identity()
    module.example_inputs = lambda: None
    with pytest.raises(CannotRun, match=r"Identity.example_inputs\(2, 3, 0\) fails: TypeError"):
        own_inputs(module, 2, 3, 0)
