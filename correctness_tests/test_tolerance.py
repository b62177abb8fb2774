"""Each tolerance class passes what it should and catches planted defects."""

import architectures
import numpy as np
import pytest
import torch

from conftest import Workshop
from eagerbench.models import specs
from eagerbench.outputs.tolerance import CLASSES, compare, scale_of
from eagerbench.workloads import workload
from eagerbench.workloads.padded_batch import PaddedBatch


def perturb_one_weight(module: torch.nn.Module, class_name: str) -> None:
    """float32 must notice a single element; under 8-bit rounding it takes noise on the whole matrix."""
    weight = layers(module, "one")[0].output.dense.weight
    if class_name == "exact-math":
        weight[3, 5] += weight.std()
    else:
        noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        size = {"half-precision": 0.2, "reduced-precision": 0.5, "quantised": 2.0, "quantised-coarse": 2.0}[class_name]
        weight += size * weight.std() * noise


def drop_mask(module: torch.nn.Module, class_name: str) -> None:
    def without_mask(_, arguments, keywords):
        if len(arguments) > 1:
            return (arguments[0], None, *arguments[2:]), keywords
        return arguments, {**keywords, "attention_mask": None}

    for layer in layers(module, class_name):
        layer.attention.register_forward_pre_hook(without_mask, with_kwargs=True)


def permute_heads(module: torch.nn.Module, class_name: str) -> None:
    for layer in layers(module, class_name):
        attention = layer.attention.self
        order = torch.arange(attention.value.weight.shape[0]).roll(attention.attention_head_size)
        attention.value.weight.copy_(attention.value.weight[order])


def layers(module: torch.nn.Module, class_name: str) -> list[torch.nn.Module]:
    """Where a defect is planted: in one layer, but in all for the class whose rounding is larger than one layer's
    (test_bitsandbytes.py compares such a variant with eager on its own rounded weights, where one weight shows)."""
    every = list(module.base_model.encoder.layer)
    return every if class_name == "quantised-coarse" else every[1:2]


DEFECTS = (perturb_one_weight, drop_mask, permute_heads)


@pytest.mark.parametrize(("class_name", "model_name"), [
    ("exact-math", "tiny-bert"), ("exact-math", "minilm"), ("quantised", "minilm"),
    *[pytest.param(class_name, "minilm", marks=pytest.mark.slow) for class_name in CLASSES
      if class_name not in ("exact-math", "quantised")]])
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_defect_is_caught(workshops, model_name, class_name, defect):
    from eagerbench.backends.torch_runner import TorchRunner
    from eagerbench.workloads.padded_batch import pad

    workshop = workshops(model_name)
    rng = np.random.default_rng(0)
    inputs = pad([rng.integers(1, 1000, length) for length in range(4, 20)], workshop.model, 48)
    expected = workshop.expected(inputs)
    module = workshop.model.copy()
    with torch.no_grad():
        defect(module, class_name)
    runner = TorchRunner(module)
    outputs = runner.arrays(runner(runner.prepare(inputs)))
    comparison = compare(outputs, expected.outputs, expected.double, expected.mask, class_name, True)
    assert comparison.failures
    sound = compare(expected.outputs, expected.outputs, expected.double, expected.mask, class_name, True)
    assert not sound.failures
    assert sound.rmse_ratio == 1


def test_failure_says_how_much_where_and_what_was_allowed():
    reference = {"logits": np.ones((2, 3), np.float32)}
    wrong = {"logits": reference["logits"].copy()}
    wrong["logits"][1, 2] = 1.5
    comparison = compare(wrong, reference, {"logits": np.ones((2, 3))}, None, "exact-math", False)
    assert comparison.max_abs_error == pytest.approx(0.5)
    assert "largest error 0.5 at (1, 2), tolerance 0.0001 + 0.0001·|eager|" in comparison.failures[0]


def test_padded_positions_do_not_count():
    reference = {"last_hidden_state": np.ones((1, 3, 2), np.float32)}
    other = {"last_hidden_state": reference["last_hidden_state"].copy()}
    other["last_hidden_state"][0, 2] = 99
    mask = np.array([[1, 1, 0]])
    double = {"last_hidden_state": np.ones((1, 3, 2))}
    assert not compare(other, reference, double, mask, "exact-math", False).failures
    assert compare(other, reference, double, np.ones((1, 3)), "exact-math", False).failures


def test_missing_output_or_other_shape_fails():
    reference = {"logits": np.ones((2, 3), np.float32)}
    assert "outputs ['other']" in compare({"other": reference["logits"]}, reference, reference, None,
                                          "exact-math", False).failures[0]
    assert "shape (2, 4)" in compare({"logits": np.ones((2, 4))}, reference, reference, None,
                                     "exact-math", False).failures[0]


def test_labels_as_many_as_tokens_are_not_taken_for_tokens():
    """(batch, labels) with the mask's shape: an error under a padded position still counts."""
    reference = {"logits": np.ones((2, 4), np.float32)}
    wrong = {"logits": reference["logits"].copy()}
    wrong["logits"][1, 3] = 5
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 0]])
    assert compare(wrong, reference, reference, mask, "exact-math", False).failures
    spans = {"start_logits": wrong["logits"]}, {"start_logits": reference["logits"]}
    assert not compare(*spans, spans[1], mask, "exact-math", False).failures


SCORES = np.random.default_rng(3).normal(0.06, 0.07, (64, 1))  # of a reranker's rows


def judged_alone(score: float, got: float, class_name: str) -> tuple[str, ...]:
    """One score among others of the same model; the one's float32 happens to have no rounding error."""
    scale = {"logits": scale_of([SCORES.astype(np.float32)], [SCORES])}
    wanted = np.float32([[score]])
    return compare({"logits": np.float32([[got]])}, {"logits": wanted}, {"logits": wanted.astype(float)}, None,
                   class_name, False, scales=scale).failures


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_score_near_zero_is_not_its_own_scale(class_name):
    """What a class allows for many rows, it allows for each of them alone."""
    one = scale_of([SCORES.astype(np.float32)], [SCORES])
    assert one.values == 64
    allowed = CLASSES[class_name].rmse_factor * one.error + CLASSES[class_name].rmse_floor * one.rms
    for near_zero in (0.0, allowed / 3, -allowed / 3):
        assert not judged_alone(near_zero, near_zero + 0.9 * allowed, class_name)
        assert judged_alone(near_zero, near_zero + 1.1 * allowed, class_name)


@pytest.mark.parametrize("class_name", CLASSES)
def test_defects_of_one_score_are_caught(class_name):
    """Of scores of half of the RMS or more, and of rows that are as far apart: above the noise of every class."""
    rms = float(np.sqrt(np.mean(SCORES ** 2)))
    usual = [float(score) for score in SCORES[:, 0] if abs(score) > rms / 2]
    assert len(usual) > len(SCORES) / 2
    for score in usual:
        assert not judged_alone(score, score, class_name)
        assert judged_alone(score, -score, class_name)
        assert judged_alone(score, 0.0, class_name)
        assert all(judged_alone(score, other, class_name) for other in usual if abs(other - score) > rms / 2)


def test_a_reranker_of_one_row_is_judged_by_other_rows(tmp_path, store, placement):
    """4-bit weights shift every score of this one by 0.02 to 0.03; the one row's own score is -0.018."""
    workshop = Workshop(str(architectures.save("reranker", tmp_path / "reranker")), store, placement)
    expected = workshop.reference.expected(workload(workshop.model.spec, 1, 24))
    outputs = workshop.run("bnb-nf4", expected.inputs)
    assert abs(expected.outputs["logits"]).max() < expected.scales["logits"].rms / 3
    assert expected.judge(outputs, "quantised-coarse").failures == ()
    assert expected.judge({"logits": expected.outputs["logits"] + 0.06}, "quantised-coarse").failures
    many = workshop.reference.expected(workload(workshop.model.spec, 16, 24))
    assert many.scales == {}
    assert many.judge(workshop.run("bnb-nf4", many.inputs), "quantised-coarse").failures == ()


def test_a_row_that_cannot_run_alone_is_its_own_scale():
    class Pairs(torch.nn.Module):
        def forward(self, input_ids):
            if len(input_ids) < 2:
                raise ValueError("pairs only")
            return {"logits": input_ids.double().mean(1, keepdim=True).to(torch.float32)}

    from eagerbench.measuring.reference import Reference
    from eagerbench.models.loading import LoadedModel

    model = LoadedModel(specs.ModelSpec("pairs", "factory", "a:b", 0, None), Pairs(), None, False)
    reference = Reference(model, "cpu")
    assert reference.expected(PaddedBatch(2, 8)).scales == {}
