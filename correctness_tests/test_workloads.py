"""Workloads: shapes, masks, determinism by seed, real text for a real tokenizer."""

import numpy as np
import pytest

from conftest import TINY_MODELS
from eagerbench import backends
from eagerbench.errors import CannotRun
from eagerbench.models import specs
from eagerbench.workloads import workload
from eagerbench.workloads.image_batch import ImageBatch
from eagerbench.workloads.padded_batch import PaddedBatch


@pytest.mark.parametrize("model_name", [*(name for name in TINY_MODELS if name != "tiny-vit"), "minilm"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 16), (7, 33)])
def test_padded_batch(workshops, model_name, side, shape):
    model = workshops(model_name).model
    inputs = PaddedBatch(*shape).inputs(model, side)
    mask = inputs["attention_mask"]
    assert {array.shape for array in inputs.values()} == {shape}
    assert {array.dtype for array in inputs.values()} == {np.dtype(np.int64)}
    lengths = mask.sum(1)
    assert lengths[0] == shape[1]
    assert (lengths >= shape[1] / 2).all()
    ordered = mask if side == "right" else mask[:, ::-1]
    assert (np.diff(ordered, axis=1) <= 0).all()
    assert (inputs["input_ids"] < model.config.vocab_size).all()


def test_image_batch(workshops):
    model = workshops("tiny-vit").model
    pixels = ImageBatch(5, model.spec.image).inputs(model)["pixel_values"]
    assert (pixels.shape, pixels.dtype) == ((5, 3, 32, 32), np.float32)
    assert np.array_equal(pixels, ImageBatch(5, model.spec.image).inputs(model)["pixel_values"])
    assert not np.array_equal(pixels, ImageBatch(5, model.spec.image, 1).inputs(model)["pixel_values"])


def test_an_image_model_has_one_workload_a_batch_size():
    image, text = specs.resolve("vit-base", 0), specs.resolve("bert-base", 0)
    assert workload(image, 8, 16) == workload(image, 8, 128)
    assert workload(text, 8, 16) != workload(text, 8, 128)
    assert workload(image, 8, 16).sequence_length == 196


def test_seed_decides(workshops):
    model = workshops("minilm").model
    first, same, other = (PaddedBatch(8, 32, seed).inputs(model)["input_ids"] for seed in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_text_has_special_tokens(workshops):
    model = workshops("minilm").model
    inputs = PaddedBatch(4, 24).inputs(model)
    for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
        real = ids[mask.astype(bool)]
        assert (real[0], real[-1]) == (model.tokenizer.cls_token_id, model.tokenizer.sep_token_id)
        assert model.tokenizer.unk_token_id not in real


def test_too_long_is_told_before_anything_is_built():
    def refusal(model_name, length):
        return PaddedBatch(1, length).refuses(specs.resolve(model_name, 0), *backends.variants()["eager"])

    assert "at most 512" in refusal("camembert-base", 513)
    assert refusal("camembert-base", 512) is None
    assert "at most 1024" in refusal("gpt2", 1025)
    assert "at most 512" in refusal("minilm", 513)


def test_model_without_token_inputs_says_what_to_add():
    import torch

    from eagerbench.models.loading import LoadedModel

    linear = LoadedModel(specs.ModelSpec("linear", "factory", "x:y", 0, None), torch.nn.Linear(2, 2), None, False)
    with pytest.raises(CannotRun, match="give it a method example_inputs"):
        PaddedBatch(1, 4).inputs(linear)
