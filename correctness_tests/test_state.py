"""Models that remember: what a case gives does not depend on what ran before it."""

import numpy as np
import pytest
import torch
import transformers

from eagerbench.errors import CannotRun
from eagerbench.measuring.reference import Reference
from eagerbench.measuring.sentences import expected_of
from eagerbench.models.loading import LoadedModel
from eagerbench.models.specs import ModelSpec
from eagerbench.models.state import Snapshot, fresh, persistent_buffers
from eagerbench.outputs.tolerance import compare
from eagerbench.workloads.padded_batch import PaddedBatch

SPEC = ModelSpec("remembering", "factory", "x:y", 0, None)


class Counter:
    """State as an object: with slots, and arrays, as users have it."""

    __slots__ = ("array", "number")

    def __init__(self):
        self.array, self.number = np.zeros(1), 0


COUNTED = []


class Remembering(torch.nn.Module):
    """`kind` says what a call changes."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.embedding = torch.nn.Embedding(100, 8)
        self.head = torch.nn.Linear(8, 3)
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("cache", torch.zeros(0), persistent=False)
        self.was_short, self.seen, self.held = False, [], torch.zeros(2)
        self._short, self.counter, self.inside = False, Counter(), {"a": [torch.zeros(1)]}
        self.beside = (torch.nn.Linear(8, 3), self)

    def forward(self, input_ids, attention_mask):
        length = input_ids.shape[1]
        if self.kind == "counts":
            self.calls += 1
        elif self.kind == "caches" and len(self.cache) < length:
            self.cache = torch.arange(float(length))
        elif self.kind == "lists":
            self.seen.append(length)
        elif self.kind == "holds":
            self.held = self.held + length
        elif self.kind == "writes a weight":
            with torch.no_grad():
                self.head.bias.add_(1)
        elif self.kind == "other layer" and length < 5:
            self.head = torch.nn.Linear(8, 3)
        elif self.kind in ("other path", "other bits"):
            self.was_short = self.was_short or length < 5
        elif self.kind == "private":
            self._short = self._short or length < 5
        elif self.kind == "object":
            self.counter.number += 1
        elif self.kind == "array":
            self.counter.array[0] += 1
        elif self.kind == "tensor inside":
            self.inside["a"][0] += 1
        elif self.kind == "layer beside":
            with torch.no_grad():
                self.beside[0].bias.add_(1)
        elif self.kind == "outside" and length < 5:
            COUNTED.append(length)
        states = self.embedding(input_ids) * attention_mask[..., None].to(torch.float32).to(self.embedding.weight.dtype)
        factor = 2 if (self.kind == "other bits" and self.was_short) or self._short or COUNTED else 1
        return {"logits": self.head(states.sum(1)) * factor}


def loaded(kind: str) -> LoadedModel:
    torch.manual_seed(0)
    return LoadedModel(SPEC, Remembering(kind).eval().requires_grad_(False), None, False)


def inputs(length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(length).integers(1, 100, (2, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def called(module: torch.nn.Module, length: int) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return module(**{name: torch.from_numpy(array) for name, array in inputs(length).items()})


@pytest.mark.parametrize(("kind", "names"), [
    ("nothing", []), ("counts", ["calls"]), ("caches", ["cache"]), ("lists", ["Remembering"]), ("holds", ["held"]),
    ("other path", ["Remembering"]), ("other layer", ["head", "head.weight", "head.bias"]),
    ("writes a weight", ["head.bias"]), ("private", ["Remembering"]), ("object", ["Remembering"]),
    ("array", ["Remembering"]), ("tensor inside", ["inside.'a'.0"]), ("layer beside", ["beside.0.bias"])])
def test_what_a_call_changes_is_found(kind, names):
    module = fresh(loaded(kind).module)
    before = Snapshot(module)
    assert before.changed(module) == []
    called(module, 3)
    assert before.changed(module) == names


@pytest.mark.parametrize("kind", ["counts", "caches", "lists", "other path", "other bits", "private", "object", "array",
                                  "tensor inside"])
def test_reference_and_fingerprint_do_not_depend_on_what_ran_before(kind):
    alone, later = loaded(kind), loaded(kind)
    want = Reference(alone, "cpu").compute(inputs(9)).outputs["logits"]
    reference = Reference(later, "cpu")
    reference.compute(inputs(3))
    assert np.array_equal(reference.compute(inputs(9)).outputs["logits"], want)
    assert reference.remembers
    assert (later.fingerprint, later.derived) == (alone.fingerprint, alone.derived)
    assert Snapshot(later.module).changed(later.module) == []


def test_copies_share_weights_and_no_state():
    model = loaded("counts")
    copy = model.fresh()
    called(copy, 3)
    assert copy.head.weight is model.module.head.weight
    assert (copy.calls.item(), model.module.calls.item()) == (1, 0)


def test_fingerprint_is_over_what_training_fixed():
    model = loaded("nothing")
    assert [name for name, _ in persistent_buffers(model.module)] == ["calls"]
    other = loaded("nothing")
    other.module.cache = torch.ones(3)
    assert other.fingerprint == model.fingerprint
    assert other.derived != model.derived  # a build holds it: artifacts are not shared
    third = loaded("nothing")
    third.module.calls += 1
    assert third.fingerprint != model.fingerprint


@pytest.mark.parametrize(("kind", "refused"), [("counts", False), ("other path", False), ("other bits", True)])
def test_several_lengths(kind, refused):
    """Judged where the bits are the same in any order; a reason where they are not."""
    rows = [np.arange(1, length + 1) for length in (3, 9, 7)]
    model = loaded(kind)
    if not refused:
        assert len(expected_of(rows, model, Reference(model, "cpu")).outputs["logits"]) == 3
        return
    with pytest.raises(CannotRun, match="Remembering gives other outputs after an input of another length"):
        expected_of(rows, model, Reference(model, "cpu"))


@pytest.mark.parametrize("variant", ["eager", "torchscript", "onnxruntime"])
def test_a_case_gets_a_build_that_nothing_has_called(session_of, variant):
    session, case = session_of(loaded("other bits"), variant)
    for length in (9, 3, 9):
        work = case(PaddedBatch(2, length))
        runner, expected = session.builds.build(work).runner, session.models.reference(SPEC).expected(work.workload)
        for _ in range(2):
            outputs = runner.arrays(runner(runner.prepare(expected.inputs)))
        assert not compare(outputs, expected.outputs, expected.double, None, "exact-math", False).failures


@pytest.mark.parametrize("kind", ["nothing", "counts"])
def test_a_build_that_no_call_changed_is_kept(session_of, kind):
    session, case = session_of(loaded(kind), "eager")
    first = session.builds.build(case(PaddedBatch(2, 9)))
    first.runner(first.runner.prepare(inputs(9)))
    assert (session.builds.build(case(PaddedBatch(2, 3))) is first) == (kind == "nothing")


@pytest.mark.parametrize("lengths", [(9, 3), (3, 9), (9,)])
def test_what_is_remembered_outside_of_the_module_is_a_reason(session_of, lengths):
    """No copy starts anew; a session of one length is as it always was."""
    works = [PaddedBatch(2, length) for length in lengths]
    session, case = session_of(loaded("outside"), "eager", works)
    try:
        for work in works if len(works) > 1 else ():
            with pytest.raises(CannotRun, match=r"gives other outputs for batch .* × (9|11) after a call with "
                                                r"batch 2 × 3, and keeps that state outside its module"):
                session.builds.build(case(work))
        assert len(works) > 1 or session.builds.build(case(works[0]))
    finally:
        COUNTED.clear()


def test_bigbird_goes_back_to_sparse_attention():
    """A sequence that is too short for sparse attention switches the whole model to full attention, for good."""
    config = transformers.BigBirdConfig(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                        intermediate_size=32, max_position_embeddings=128, block_size=4,
                                        num_random_blocks=1, attention_type="block_sparse")
    torch.manual_seed(0)
    model = LoadedModel(SPEC, transformers.BigBirdModel(config).eval().requires_grad_(False), None, False)
    reference = Reference(model, "cpu")
    want = reference.compute(inputs(96)).outputs["last_hidden_state"]
    reference.compute(inputs(8))
    assert reference.remembers
    assert np.array_equal(reference.compute(inputs(96)).outputs["last_hidden_state"], want)
