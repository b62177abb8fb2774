"""Start-up: when a build pays back, imports told apart from loading, and weights that come back from the disk."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import TINY_MODELS
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.experiments.startup import break_even
from eagerbench.measuring import fresh_process
from eagerbench.measuring.fresh_process import Imports
from eagerbench.models import saved, specs
from eagerbench.models.loading import LoadedModel, load


def test_break_even():
    """3 s more at the start, half of a second saved a call: 6 calls. At 1.6 times 0.375 s are saved, at 4, 0.75."""
    found = break_even(3.0, 1.0, 2.0, 1.6, 4.0)
    assert (found.calls, found.low, found.high, found.missing) == (6, 4, 8, None)
    assert break_even(3.1, 1.0, 2.0, None, None).calls == 7


def test_break_even_that_may_never_be():
    found = break_even(3.0, 1.0, 2.0, 0.9, 4.0)
    assert (found.calls, found.high) == (6, None)
    slower = break_even(3.0, 1.0, 0.8, 0.7, 1.6)
    assert (slower.calls, slower.low, slower.high) == (None, 8, None)
    assert slower.missing == "not faster than eager: 0.80 times"
    assert break_even(10.0, 0.1, 1.0, None, None).calls is None


def test_break_even_of_a_cheaper_start():
    """Loads faster than eager and is faster: from the first call on."""
    assert break_even(-1.0, 0.1, 2.0, 1.5, 3.0).calls == 0


@given(st.floats(-10, 0) | st.floats(1e-9, 1e4), st.floats(1e-5, 10), st.floats(1.001, 50), st.floats(0.5, 1),
       st.floats(1, 2))
def test_break_even_is_where_costs_are_equal(extra_s, eager_s, speedup, down, up):
    found = break_even(extra_s, eager_s, speedup, speedup * down, speedup * up)
    saved_s = eager_s - eager_s / speedup
    assert found.calls * saved_s >= extra_s - 1e-6 * abs(extra_s)
    assert found.calls == 0 or (found.calls - 1) * saved_s < extra_s + 1e-6 * abs(extra_s)
    assert found.low <= found.calls
    assert found.high is None or found.high >= found.calls


def test_imports_are_told_apart(tmp_path, monkeypatch):
    """On a clock that only the modules move: 5 s by one, which imports another that takes 2 of them."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(fresh_process, "time", clock)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "the_clock", clock, raising=False)
    move = "import sys\nsys.the_clock.now += {}\n"
    (tmp_path / "clock_inner.py").write_text(move.format(2))
    (tmp_path / "clock_outer.py").write_text(move.format(3)
                                             + "import importlib\nimportlib.import_module('clock_inner')\n")

    def load_it():
        import clock_outer

        clock.now += 10
        return clock_outer

    with Imports() as imports:
        module, seconds = imports.apart(load_it)
        again, _ = imports.apart(load_it)
    assert (imports.seconds, seconds) == (5.0, 10.0)
    assert again is module
    assert __import__ is imports._originals[0]


def test_imports_are_put_back_after_an_error():
    before = __import__
    with pytest.raises(ModuleNotFoundError), Imports():
        import no_such_module  # noqa: F401
    assert __import__ is before


@pytest.mark.parametrize("model_name", [*TINY_MODELS, "tiny-bert@layers=1", "tiny-bert@head=question-answering"])
def test_weights_come_back_from_the_disk(workshops, tmp_path, model_name):
    """By from_pretrained and from a state_dict, the same bits; and saved once."""
    model = workshops(model_name).model
    found = saved.saved(model, ArtifactStore(tmp_path))
    assert saved.saved(model, ArtifactStore(tmp_path)) == found
    assert found.bytes >= model.parameter_bytes
    file, _ = saved.save_state_dict(model, tmp_path)
    inputs = workshops(model_name).example()
    runner = workshops(model_name).reference.runner
    expected = runner.arrays(runner(runner.prepare(inputs)))
    for loaded in (load(found.spec), saved.from_state_dict(found.spec, file, "cpu")):
        got = type(runner)(loaded.module, "cpu")
        outputs = got.arrays(got(got.prepare(inputs)))
        assert set(outputs) == set(expected)
        assert all(np.array_equal(outputs[name], expected[name]) for name in expected)


def test_what_transformers_does_not_know_is_loaded_as_before(tmp_path):
    import torch

    model = LoadedModel(specs.ModelSpec("linear", "factory", "x:y", 0, None), torch.nn.Linear(2, 2), None, False)
    assert saved.saved(model, ArtifactStore(tmp_path)) == saved.Saved(model.spec, None, None)
