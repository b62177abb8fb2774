"""Tasks: windows that cover their context, the best span over windows, what is predicted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eagerbench import backends
from eagerbench.experiments.tasks import workloads
from eagerbench.models import specs
from eagerbench.models.catalog import HEADS
from eagerbench.workloads.sentences import SENTENCES
from eagerbench.workloads.tasks import (
    LONGEST_ANSWER,
    STRIDE,
    WIDTH,
    Labelling,
    Questions,
    Window,
    best_spans,
    drawn_windows,
    tokenised_windows,
)

QUESTION = "Is the museum open on public holidays?"


def covered(windows, length: int) -> np.ndarray:
    """The context put together from its windows, which must agree where they overlap."""
    context = np.full(length, -1)
    for window in windows:
        part = window.ids[window.context.start:window.context.stop]
        place = context[window.start:window.start + len(part)]
        assert len(place) == len(part)
        assert ((place == part) | (place == -1)).all()
        place[:] = part
    return context


@pytest.mark.parametrize("sentences", [1, 40, 90])
def test_windows_of_the_tokenizer(workshops, sentences):
    """They cover the context exactly, 128 tokens twice, and are cut like those of drawn ids."""
    model = workshops("minilm").model
    text = " ".join(SENTENCES[index % len(SENTENCES)] for index in range(sentences))
    plain = {"add_special_tokens": False, "verbose": False}
    context, question = (np.array(model.tokenizer(part, **plain)["input_ids"]) for part in (text, QUESTION))
    windows = tokenised_windows(model, QUESTION, text)
    assert (covered(windows, len(context)) == context).all()
    ends = [window.start + len(window.context) for window in windows]
    assert [end - window.start for end, window in zip(ends, windows[1:], strict=False)] == [STRIDE] * (len(windows) - 1)
    assert all(len(window.ids) == WIDTH for window in windows[:-1])
    drawn = drawn_windows(question, context, 0, model.tokenizer.cls_token_id, model.tokenizer.sep_token_id)
    assert [w.ids.tolist() for w in drawn] == [w.ids.tolist() for w in windows]
    assert [(w.context, w.start) for w in drawn] == [(w.context, w.start) for w in windows]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(question=st.integers(1, 200), context=st.integers(1, 2000))
def test_drawn_windows_cover_any_context(question, context):
    ids = np.arange(10, 10 + context)
    windows = drawn_windows(np.full(question, 5), ids)
    assert (covered(windows, context) == ids).all()
    assert max(len(window.ids) for window in windows) <= WIDTH


def test_best_span_over_windows():
    windows = [Window(0, np.zeros(WIDTH), range(10, 380), 0), Window(0, np.zeros(WIDTH), range(10, 300), 242),
               Window(1, np.zeros(WIDTH), range(10, 50), 0)]
    starts, ends = np.zeros((2, 3, WIDTH))
    starts[1, 20], ends[1, 25] = 3, 3
    starts[0, 5], ends[0, 6] = 9, 9  # in the question: no answer
    starts[0, 100], ends[0, 100 + LONGEST_ANSWER] = 5, 5  # one token too long together
    starts[2, 30], ends[2, 20] = 4, 4  # ends before it starts
    spans = best_spans(windows, starts, ends)
    assert spans[0].tolist() == [252, 257]
    assert spans[1, 0] <= spans[1, 1]
    starts[1, 20] = 1
    assert best_spans(windows, starts, ends)[0, 0] == 90


def test_one_workload_for_a_head():
    from selections import read

    selection = read()

    def refusal(name, work):
        return work.refuses(specs.resolve(name, 0), *backends.variants()["eager"])

    for head in HEADS:
        spec = specs.resolve(f"tiny-bert@head={head}", 0)
        work, = workloads(spec, selection)
        assert (work.task, work.refuses(spec, *backends.variants()["eager"])) == (head, None)
    for name in ("minilm", "tiny-gpt2", "tiny-vit"):
        work, = workloads(specs.resolve(name, 0), selection)
        assert "has no head for a task: choose one, such as bert-base@head=question-answering" in refusal(name, work)
    assert "not known before it is loaded" in refusal("org/model", Questions(1))


def test_question_batch(workshops):
    workshop = workshops("tiny-bert@head=question-answering")
    work = Questions(2)
    inputs = work.inputs(workshop.model)
    windows = work.windows(workshop.model)
    assert {(array.shape, str(array.dtype)) for array in inputs.values()} == {((len(windows), WIDTH), "int64")}
    assert [window.question for window in windows] == sorted(window.question for window in windows)
    assert len(windows) > 2
    for row, mask, window in zip(inputs["token_type_ids"], inputs["attention_mask"], windows, strict=True):
        assert mask.sum() == len(window.ids)
        assert row[window.context.start:window.context.stop].all()
        assert not row[:window.context.start].any()
    again, other = work.inputs(workshop.model), Questions(2, seed=1).inputs(workshop.model)
    assert all(np.array_equal(inputs[name], again[name]) for name in inputs)
    assert not np.array_equal(inputs["input_ids"], other["input_ids"])
    spans = work.answers(workshop.model, workshop.run("eager", inputs))
    assert spans.shape == (2, 2)
    assert (spans[:, 1] - spans[:, 0] < LONGEST_ANSWER).all()


@pytest.mark.parametrize(("head", "rows"), [("sequence-classification", 4), ("token-classification", None),
                                            ("masked-lm", None)])
def test_labels(workshops, head, rows):
    workshop = workshops(f"tiny-bert@head={head}")
    work = Labelling(head, 4, 32)
    inputs = work.inputs(workshop.model)
    outputs = workshop.run("eager", inputs)
    masked = work.masked
    real = inputs["attention_mask"].astype(bool)
    found = work.agreed(workshop.model, outputs, outputs)
    assert (found.how, found.equal) == ("label", 1)
    assert found.predictions == (rows or (masked if head == "masked-lm" else real).sum())
    assert work.real_tokens(workshop.model) == real.sum()
    assert not (masked & ~real).any()
    assert not masked[:, 0].any()
    assert masked.sum() == pytest.approx(0.15 * real.sum(), rel=0.2)
    is_mask = inputs["input_ids"] == workshop.model.config.vocab_size - 1
    assert (is_mask[masked].all()) == (head == "masked-lm")
