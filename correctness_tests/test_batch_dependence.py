"""Models whose rows depend on their batch, and models without a mask: judged on the same batches, and said."""

import json
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from running import run_pytest

from eagerbench.errors import CannotRun
from eagerbench.experiments.quality import BATCH_SIZE, OneShapePass
from eagerbench.measuring.models import Memo
from eagerbench.measuring.reference import Reference
from eagerbench.measuring.sentences import Pass, depend_on_batch, expected_of, expected_once, judge, of_sentences
from eagerbench.models.loading import LoadedModel
from eagerbench.models.specs import ModelSpec
from eagerbench.results import records
from eagerbench.workloads.batching import POLICIES
from eagerbench.workloads.corpus import Corpus
from eagerbench.workloads.tasks import Labelling, Questions


class Words(torch.nn.Module):
    """Embeddings, mixed by `mix`, and a layer; padding is id 0 and is not masked."""

    def __init__(self, mix: Callable[[torch.Tensor], torch.Tensor], outputs: Callable[[torch.Tensor], object]):
        super().__init__()
        self.words, self.layer = torch.nn.Embedding(100, 16), torch.nn.Linear(16, 16)
        self._mix, self._outputs = mix, outputs

    def forward(self, input_ids: torch.Tensor):
        return self._outputs(self.layer(self._mix(self.words(input_ids))))


def states(hidden):
    return {"last_hidden_state": hidden}


def labels(hidden):
    return {"logits": hidden.mean(1)}


MIXES = {
    "each token alone": (lambda x: x, states, False),
    "to the left only": (lambda x: x.cumsum(1), states, False),
    "all positions averaged": (lambda x: x - x.mean(1, keepdim=True), states, True),
    "a label from the mean of all positions": (lambda x: x, labels, True),
    "statistics of the batch": (lambda x: (x - x.mean((0, 1))) / x.std((0, 1)), states, True),
    "to the right": (lambda x: x.flip(1).cumsum(1), states, True),
    "the other rows": (lambda x: x + x.max(0, keepdim=True).values[:, :1], labels, True),
}


def loaded(mix: str) -> LoadedModel:
    torch.manual_seed(0)
    module = Words(*MIXES[mix][:2]).eval().requires_grad_(False)
    return LoadedModel(ModelSpec("words", "factory", "a:b", 0, None), module, None, False)


@pytest.mark.parametrize("mix", MIXES)
def test_it_is_found_out(mix):
    assert depend_on_batch(loaded(mix)) == MIXES[mix][2]


@pytest.mark.parametrize("model_name", ["tiny-bert", "minilm"])
def test_models_with_a_mask_do_not(workshops, model_name):
    assert not depend_on_batch(workshops(model_name).model)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("kind", [Pass, OneShapePass])
def test_eager_is_right_in_any_batches(mix, kind):
    """Also in batches of one shape, filled up; and an exchanged row is still caught."""
    model = loaded(mix)
    reference = Reference(model, "cpu")
    rows = Corpus(24).tokenised(model).rows
    lengths = [len(row) for row in rows]
    memo, made = Memo(), set()
    for policy in POLICIES:
        batches = POLICIES[policy](lengths, BATCH_SIZE if kind is OneShapePass else 5)
        if kind is OneShapePass and max(map(len, batches)) > BATCH_SIZE:
            continue
        expected = expected_once(memo.once, "rows", rows, batches, model, reference, kind)
        assert expected.same_batches == MIXES[mix][2]
        one_pass = kind(reference.runner, rows, batches, model)
        outputs = one_pass.cut(one_pass(), batches, lengths)
        assert not judge(outputs, batches, expected, "exact-math", pretrained=False).failures
        exchanged = [batch[::-1] if index == 0 else batch for index, batch in enumerate(batches)]
        if len({rows[index].tobytes() for index in batches[0]}) > 1:
            assert judge(outputs, exchanged, expected, "exact-math", pretrained=False).failures
        made.add(str(batches) if MIXES[mix][2] else "once")
    assert len(memo._kept) == len(made) + 1  # the other is whether rows depend


def test_what_other_batches_give_is_another_thing():
    """What was compared before: eager in batches of 32 with eager in batches of 5."""
    model = loaded("all positions averaged")
    reference = Reference(model, "cpu")
    rows = Corpus(24).tokenised(model).rows
    batches = POLICIES["in-order"]([len(row) for row in rows], 5)
    outputs = Pass(reference.runner, rows, batches, model)()
    assert judge(outputs, batches, expected_of(rows, model, reference), "exact-math", pretrained=False).failures
    same = expected_of(rows, model, reference, batches)
    assert same.same_batches
    assert not judge(outputs, batches, same, "exact-math", pretrained=False).failures


def test_outputs_without_a_row_a_sentence_are_left_out():
    batches, lengths = [[0, 1], [2]], [3, 2, 2]
    outputs = [{"logits": np.ones((len(batch), 4)), "scale": np.float32(3), "bias": np.ones((1, 5)),
                "scores": np.ones((len(batch), 2, lengths[batch[0]], lengths[batch[0]]))} for batch in batches]
    assert list(of_sentences(outputs, batches, lengths)) == ["logits"]
    model = loaded("each token alone")
    model.module._outputs = lambda hidden: {"scale": hidden.mean()}
    with pytest.raises(CannotRun, match=r"no output of Words has a row a sentence: scale \(\)"):
        expected_of(Corpus(4).tokenised(model).rows, model, Reference(model, "cpu"))


@pytest.mark.parametrize("head", ["sequence-classification", "token-classification", "masked-lm"])
def test_tasks_without_a_mask(workshops, head):
    """Masked places and real tokens are those of the model that takes a mask."""
    masked = workshops(f"tiny-bert@head={head}").model
    bare = SimpleNamespace(module=masked.module, spec=masked.spec, config=masked.config, tokenizer=None,
                           input_names=("input_ids",))
    work = Labelling(head, 4, 32)
    inputs, with_mask = work.inputs(bare), work.inputs(masked)
    assert list(inputs) == ["input_ids"]
    assert np.array_equal(inputs["input_ids"], with_mask["input_ids"])
    assert work.real_tokens(bare) == with_mask["attention_mask"].sum()
    logits = np.random.default_rng(0).normal(size=(4, 32, 7) if head != "sequence-classification" else (4, 7))
    found = work.agreed(bare, {"logits": -logits}, {"logits": logits})
    assert found.equal < 0.5
    real = with_mask["attention_mask"].sum()
    counts = {"sequence-classification": 4, "token-classification": real, "masked-lm": work.masked.sum()}
    assert found.predictions == counts[head]


def test_questions_without_a_mask(workshops):
    model = workshops("tiny-bert@head=question-answering").model
    bare = SimpleNamespace(spec=model.spec, config=model.config, tokenizer=None, input_names=("input_ids",),
                           module=model.module)
    assert list(Questions(1).inputs(bare)) == ["input_ids"]
    assert Questions(1).real_tokens(bare) == Questions(1).inputs(model)["attention_mask"].sum()


@pytest.mark.slow
def test_a_session_of_fnet(tmp_path):
    """No mask, and a Fourier transform over all positions: every experiment that takes it, eager and its trace."""
    from transformers import FNetConfig, FNetForMaskedLM

    torch.manual_seed(0)
    FNetForMaskedLM(FNetConfig(vocab_size=1000, hidden_size=64, num_hidden_layers=2, intermediate_size=128,
                               initializer_range=0.05)).save_pretrained(tmp_path / "fnet")
    file, markdown = tmp_path / "run.json", tmp_path / "summary.md"
    tests = (f"perf_tests/test_{name}.py" for name in ("latency", "corpus", "padding", "length", "tasks", "memory"))
    ended = run_pytest(*tests, "--benchmark-only", "--grid", "smoke", "--model", str(tmp_path / "fnet"), "--variant",
                       "eager", "--variant", "torchscript", "--time-budget", "0.2", "--threads", "1",
                       "--benchmark-json", str(file), "--benchmark-save-data", "--summary-md", str(markdown))
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    assert records.problems(content) == []
    found = {record["experiment"]: record for record in records.own(content)}
    assert set(found) == {"latency", "corpus", "padding", "length", "tasks", "memory"}
    assert found["corpus"]["rows_depend_on_batch"]
    assert found["padding"]["rows_depend_on_batch"]
    assert markdown.read_text().count("What a row gives depends on its batch here") == 2
