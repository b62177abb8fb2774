"""A head that transformers does not know: the base model is measured, and that is said."""

import json

import pytest
import small_architectures
from running import run_pytest

from eagerbench.models import specs
from eagerbench.models.classes import UnknownHead, unknown_head
from eagerbench.models.loading import load


@pytest.fixture
def headless(tmp_path):
    """A directory with a space whose config names a class that is not there."""
    directory = small_architectures.save("one-layer", tmp_path / "my model")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMySpecialTask"]}))
    return directory


def test_the_base_model_is_measured_and_that_is_said(headless):
    with pytest.warns(UnknownHead, match="has no BertForMySpecialTask: the base model of bert is measured"):
        model = load(specs.resolve(str(headless), 0))
    assert type(model.module).__name__ == "BertModel"
    assert unknown_head(model.config) == "BertForMySpecialTask"


def test_a_known_head_is_no_unknown_one(tmp_path):
    model = load(specs.resolve(str(small_architectures.save("albert", tmp_path / "known")), 0))
    assert unknown_head(model.config) is None


def test_the_session_and_the_record_say_it(headless, tmp_path):
    ended = run_pytest("perf_tests/test_latency.py", "--benchmark-only", "--model", str(headless), "--variant", "sdpa",
                       "--batch-sizes", "2", "--sequence-lengths", "8", "--threads", "1", "--time-budget", "0.2",
                       "--artifacts", str(tmp_path / "my artifacts"), "--benchmark-json", str(tmp_path / "out.json"))
    assert ended.code == 0, ended.out
    assert "has no BertForMySpecialTask" in ended.out
    record = json.loads((tmp_path / "out.json").read_text())["benchmarks"][0]["extra_info"]
    assert record["identity"]["unknown_head"] == "BertForMySpecialTask"
