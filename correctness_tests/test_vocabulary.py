"""Special ids that are missing, negative or out of the vocabulary, and tokenizers that do not fit."""

import json

import numpy as np
import pytest
import torch
import transformers

from eagerbench.errors import BadInput, CannotRun
from eagerbench.measuring.reference import Reference
from eagerbench.models import specs
from eagerbench.models.loading import LoadedModel, load
from eagerbench.models.specs import ModelSpec
from eagerbench.outputs.tolerance import compare
from eagerbench.workloads import export_example
from eagerbench.workloads.padded_batch import PaddedBatch, pad
from eagerbench.workloads.vocabulary import draw_ids, out_of_range, pad_id, vocabulary

SPEC = ModelSpec("toy", "factory", "x:y", 0, None)
SMALL = {"vocab_size": 60, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}


def gpt2(kind: str = "GPT2LMHeadModel", rows: int = 60, **config) -> LoadedModel:
    """With an embedding of `rows` ids, whatever its config says."""
    torch.manual_seed(0)
    made = getattr(transformers, kind)(transformers.GPT2Config(**{**SMALL, "vocab_size": rows}))
    for name, value in {"vocab_size": 60, "use_cache": False, **config}.items():
        made.config.__dict__[name] = value  # transformers 4 takes what 5 refuses
    return LoadedModel(SPEC, made.eval().requires_grad_(False), None, False)


@pytest.mark.parametrize("wanted", [None, -1, 60, 10**9, "pad", True])
@pytest.mark.parametrize("eos", [None, 59, [58, 59], -5, 600])
def test_any_padding_id_runs(wanted, eos):
    """Its place is hidden by the mask, so any id of the vocabulary stands in."""
    model = gpt2(pad_token_id=wanted, eos_token_id=eos, bos_token_id=eos)
    inputs = PaddedBatch(4, 16).inputs(model)
    assert inputs["input_ids"].min() >= 0
    assert inputs["input_ids"].max() < 60
    assert (inputs["attention_mask"] == 0).any()
    assert Reference(model, "cpu").compute(inputs).outputs["logits"].shape == (4, 16, 60)


def test_padding_is_the_models_own_where_it_can_be():
    assert pad_id(gpt2(pad_token_id=7, eos_token_id=59)) == 7
    assert pad_id(gpt2(pad_token_id=-1, eos_token_id=[58, 59])) == 58
    assert pad_id(gpt2(pad_token_id=None, eos_token_id=None)) == 0


@pytest.mark.parametrize("rows", [40, 60, 90])
def test_embedding_of_another_size_than_the_config_says(rows):
    model = gpt2(rows=rows)
    assert vocabulary(model) == min(rows, 60)
    ids = draw_ids(model, 2000, np.random.default_rng(0))
    assert ids.min() >= 0
    assert ids.max() < min(rows, 60)
    Reference(model, "cpu").outputs(PaddedBatch(2, 16).inputs(model))


def test_drawn_rows_have_no_special_token_inside():
    model = gpt2(pad_token_id=40, eos_token_id=50, bos_token_id=3)
    assert not {3, 40, 50} & set(draw_ids(model, 5000, np.random.default_rng(0)).tolist())


def test_id_that_the_embedding_lacks_is_named():
    model = gpt2(rows=50)
    with pytest.raises(CannotRun, match="token id 55 is out of the vocabulary, whose ids are 0 to 49"):
        pad([np.array([1, 55, 2])], model, 3)
    with pytest.raises(CannotRun, match="token id -1 is out of the vocabulary"):
        pad([np.array([1, -1, 2])], model, 3)


@pytest.mark.parametrize("first_last", [(0, 59), (59, 0)])
def test_ids_at_both_ends_of_the_vocabulary(first_last):
    model = gpt2()
    inputs = pad([np.array(first_last), np.array([*first_last, *first_last])], model, 4)
    assert np.isfinite(Reference(model, "cpu").compute(inputs).outputs["logits"]).all()


def test_classifier_without_padding_id_takes_one_row():
    """transformers refuses several rows; exports are then made of one, and batch 1 is not lost."""
    model = gpt2("GPT2ForSequenceClassification", pad_token_id=None)
    reference = Reference(model, "cpu")
    with pytest.raises(CannotRun, match="no padding token"):
        reference.outputs(PaddedBatch(3, 11).inputs(model))
    reference.outputs(PaddedBatch(1, 11).inputs(model))


@pytest.mark.parametrize("variant", ["eager", "torchscript", "onnxruntime"])
@pytest.mark.parametrize(("wanted", "rows"), [(None, 1), (-1, 4), (60, 4)])
def test_exports_of_a_classifier_with_a_padding_id_that_is_none(session_of, variant, wanted, rows):
    model = gpt2("GPT2ForSequenceClassification", pad_token_id=wanted)
    session, case = session_of(model, variant)
    work = case(PaddedBatch(rows, 16))
    runner, expected = session.builds.build(work).runner, session.models.reference(SPEC).expected(work.workload)
    outputs = runner.arrays(runner(runner.prepare(expected.inputs)))
    assert not compare(outputs, expected.outputs, expected.double, expected.mask, "exact-math", False).failures


def test_index_error_says_what_is_out_of_range():
    model = gpt2(pad_token_id=-1, eos_token_id=99)
    text = out_of_range(model, PaddedBatch(2, 16).inputs(model))
    assert "of a vocabulary of 60; 16 positions of 32" in text
    assert "pad_token_id -1; bos_token_id 50256; eos_token_id 99" in text


def test_rows_longer_than_the_positions_of_a_factorys_model(tmp_path, monkeypatch):
    (tmp_path / "short_model.py").write_text(
        "import transformers\n"
        "def build():\n"
        f"    return transformers.GPT2Model(transformers.GPT2Config(**{ {**SMALL, 'n_positions': 8}!r}))\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    model = load(specs.resolve("short_model:build", 0))
    assert model.spec.max_length == 8
    with pytest.raises(CannotRun, match="accepts at most 8 tokens"):
        PaddedBatch(1, 16).inputs(model)
    assert export_example(model.spec).inputs(model)["input_ids"].shape == (3, 8)


@pytest.mark.parametrize(("model_type", "pad_token_id", "usable"), [
    ("roberta", 1, 512), ("camembert", 1, 512), ("longformer", 1, 512), ("mpnet", 1, 512), ("roberta", None, 514),
    ("roberta", -1, 514), ("bert", 0, 514), ("roberta", 5, 508)])
def test_positions_behind_the_padding_index(model_type, pad_token_id, usable):
    config = {"model_type": model_type, "max_position_embeddings": 514, "pad_token_id": pad_token_id}
    assert specs.config_length(config) == usable


def test_padding_id_that_no_embedding_can_have_is_named(tmp_path):
    """BERT's embedding itself refuses it: nothing of such a directory can run."""
    load(specs.resolve("tiny-bert", 0)).module.save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pad_token_id": 5000}))
    with pytest.raises(BadInput, match=r"cannot be loaded: .*pad_token_id 5000, vocabulary 1000"):
        load(specs.resolve(str(tmp_path / "model"), 0))


@pytest.mark.parametrize("rows", [None, 1, 2, 3])
def test_hardly_any_vocabulary(rows):
    """Of a module without an embedding no more is known than that 0 and 1 are ids."""
    module = torch.nn.Embedding(rows, 4) if rows else torch.nn.Identity()
    module.forward = lambda input_ids: input_ids[..., None].float()
    model = LoadedModel(ModelSpec("few", "factory", "a:b", 0, None), module, None, False)
    ids = draw_ids(model, 50, np.random.default_rng(0))
    assert 0 <= ids.min() <= ids.max() < (rows or 2)
    assert export_example(model.spec).inputs(model)["input_ids"].shape == (3, 11)
