"""The session that measures: memory goes back before more is taken, refusals are kept, and what ends a case early."""

import errno
import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from eagerbench import backends
from eagerbench.backends.building import Built
from eagerbench.backends.torch_runner import TorchRunner
from eagerbench.case import Case
from eagerbench.errors import CannotRun, WrongOutput
from eagerbench.experiments import EXPERIMENTS
from eagerbench.measuring.measure import measuring
from eagerbench.measuring.models import Memo
from eagerbench.measuring.run import Run
from eagerbench.measuring.timing import Timing
from eagerbench.models.loading import LoadedModel
from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.padded_batch import PaddedBatch


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 4)

    def forward(self, input_ids, attention_mask):
        return {"logits": self.embedding(input_ids).sum(1)}


def spec(name: str) -> ModelSpec:
    return ModelSpec(name, "factory", "x:y", 0, None)


def case(model: str = "one", variant: str = "eager") -> Case:
    return Case(spec(model), backends.variants()[variant][0], "latency", PaddedBatch(2, 5), "cpu", None)


def tiny(wanted: ModelSpec, device: str = "cpu") -> LoadedModel:
    return LoadedModel(wanted, Tiny().eval().requires_grad_(False), None, False)


@pytest.fixture
def session(session_of):
    return session_of(None, "eager")[0]


def test_libraries_are_no_garbage_to_look_for(session):
    """A cycle that is made later is still found."""
    frozen = gc.get_freeze_count()
    assert frozen > 100_000  # torch, transformers and what they import
    one = Tiny()
    one.itself, later = one, weakref.ref(one)
    del one
    gc.collect()
    assert later() is None


def test_memory_goes_back_before_more_is_taken(session, monkeypatch):
    """Of a build before the next build, of a model and its build before the next model."""
    held: list[weakref.ref] = []

    def gone(message: str) -> None:
        assert [one for one in held if one() is not None] == [], message
        held.clear()

    def load(wanted, device):
        gone("a model was loaded beside another one")
        model = tiny(wanted)
        held.append(weakref.ref(model.module))
        return model

    def build(name, model, *_):
        gone("a variant was built beside another one")
        runner = TorchRunner(model.fresh())
        held.append(weakref.ref(runner))
        return Built(*backends.variants()[name], runner, 0.0, 0.0, 0, None, False)

    monkeypatch.setattr("eagerbench.measuring.models.load", load)
    monkeypatch.setattr("eagerbench.measuring.builds.build", build)
    session.models.load(spec("one"))
    held.clear()  # the model stays for all of its builds
    session.builds.build(case("one"))
    session.builds.build(case("one", "sdpa"))
    held.append(weakref.ref(session.models.model(spec("one")).module))
    session.models.model(spec("two"))


def test_refusals_are_kept(session, monkeypatch):
    built, loaded = [], []

    def refuse(name, *_):
        built.append(name)
        raise CannotRun("no")

    monkeypatch.setattr("eagerbench.measuring.models.load", lambda wanted, device: loaded.append(1) or tiny(wanted))
    monkeypatch.setattr("eagerbench.measuring.builds.build", refuse)
    for variant in ("eager", "eager", "sdpa"):
        with pytest.raises(CannotRun, match="no"):
            session.builds.build(case(variant=variant))
    assert (built, len(loaded)) == (["eager", "sdpa"], 1)


def test_once_keeps_answers_and_refusals_and_no_other_error():
    memo, made = Memo(), []

    def make(error=None):
        made.append(error)
        if error:
            raise error
        return 7

    assert [memo.once("answer", make) for _ in range(2)] == [7, 7]
    for error in (CannotRun("no"), ValueError("a bug")):
        for _ in range(2):
            with pytest.raises(type(error)):
                memo.once(type(error), lambda error=error: make(error))
    assert [type(error).__name__ for error in made] == ["NoneType", "CannotRun", "ValueError", "ValueError"]


class Made(Run):
    """A run of which the test says what its judgement finds and what raises where."""

    wrong, raises = (), None

    def prepare(self):
        """Nothing."""

    @property
    def inputs(self):
        return self.reference.expected(self.work).inputs

    def call(self):
        return self.built.runner(self.built.runner.prepare(self.inputs))

    def judge(self, timing):
        if self.raises == "judge":
            raise ValueError("in judge")
        return replace(self.reference.expected(self.work).judge(timing.result, "exact-math"), failures=self.wrong)

    def complete(self, timing):
        if self.raises == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        raise {"complete": ValueError("in complete"), "cannot": CannotRun("no process"),
               "wrong": WrongOutput("in a process of its own"), "ctrl-c": KeyboardInterrupt()}[self.raises]


def timed(run: Run) -> None:
    run.finish(Timing(run.built.runner.arrays(run.call()), 0.1, None, None, [0.1], None, 0.5))


@pytest.mark.parametrize(("raises", "wrong", "ends", "says", "asked"), [
    (None, ("too far",), WrongOutput, "one/eager/b2/s5/cpu: output differs from eager beyond exact-math: too far", 1),
    ("judge", (), ValueError, "in judge", 1),
    ("complete", (), ValueError, "in complete", 0),
    ("cannot", (), CannotRun, "no process", 0),
    ("wrong", (), WrongOutput, "in a process of its own", 1),
    ("full", (), CannotRun, "no space left for ", 0),
    ("ctrl-c", (), KeyboardInterrupt, "^$", 0),
    ("nothing", (), RuntimeError, r"ends without run.finish\(timing\)", 0)])
def test_no_time_of_a_case_that_ends_early_is_kept(session, monkeypatch, raises, wrong, ends, says, asked):
    """Whether the model takes another path is asked of outputs that are wrong or missing, not of right ones."""
    monkeypatch.setattr("eagerbench.measuring.models.load", tiny)
    monkeypatch.setitem(EXPERIMENTS, "latency", replace(EXPERIMENTS["latency"], run=Made))
    monkeypatch.setattr(Made, "raises", raises)
    monkeypatch.setattr(Made, "wrong", wrong)
    questions = []
    monkeypatch.setattr("eagerbench.measuring.one_path.require", lambda *arguments: questions.append(arguments))
    benchmark = SimpleNamespace(enabled=True, extra_info={}, has_error=False, group=None)
    built = session.builds.build(case())
    finish = timed if raises != "nothing" else lambda run: None
    with pytest.raises(ends, match=says), measuring(session, benchmark, case(), built) as run:
        finish(run)
    assert (benchmark.has_error, benchmark.extra_info) == (True, {"rejected": True})
    assert len(questions) == asked
    assert session.measured_s == (0 if raises == "nothing" else 0.5)


def test_a_case_that_gets_to_its_end_is_kept(session, monkeypatch):
    monkeypatch.setattr("eagerbench.measuring.models.load", tiny)
    monkeypatch.setitem(EXPERIMENTS, "latency", replace(EXPERIMENTS["latency"], run=Made))
    benchmark = SimpleNamespace(enabled=False, extra_info={}, has_error=False, group=None)
    built = session.builds.build(case())
    with measuring(session, benchmark, case(), built) as run:
        timed(run)
    assert (benchmark.has_error, benchmark.extra_info, benchmark.group) == (False, {}, "one batch 2 × 5")


def test_threads_that_were_not_asked_for_fail(session, monkeypatch):
    monkeypatch.setattr("eagerbench.measuring.models.load", tiny)
    built = session.builds.build(case())
    session.selection = replace(session.selection, threads=built.runner.threads + 1)
    with pytest.raises(WrongOutput, match="were asked for"), measuring(session, SimpleNamespace(), case(), built):
        pass
