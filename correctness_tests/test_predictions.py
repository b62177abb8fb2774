"""What is read from outputs, and agreement that can fail: one label, several, several at once, one row, ties."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made
from running import run_pytest

from conftest import Workshop
from eagerbench.experiments import EXPERIMENTS
from eagerbench.outputs.predictions import agreed, agreement, how_read, matrix, places_kept, rank_correlation
from eagerbench.outputs.tolerance import compare
from eagerbench.results import records
from eagerbench.workloads.tasks import Labelling

RNG = np.random.default_rng(0)
scores = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=30).filter(lambda found: len(set(found)) > 1)


@pytest.mark.parametrize(("shape", "problem_type", "how"), [
    ((20, 3), None, "label"), ((20, 3), "single_label_classification", "label"),
    ((20, 1), None, "rank"), ((20, 1), "single_label_classification", "rank"), ((20, 1), "regression", "rank"),
    ((20, 3), "regression", "rank"), ((20,), None, "rank"), ((4, 7, 1), None, "rank"), ((4, 7, 9), None, "label"),
    ((20, 3), "multi_label_classification", "sign"), ((20, 1), "multi_label_classification", "sign"),
])
def test_negated_outputs_agree_in_nothing(shape, problem_type, how):
    """`argmax` of one label is 0 whatever the score."""
    logits = RNG.normal(size=shape)
    assert how_read(logits, problem_type) == how
    same, negated = (agreement({"logits": got}, {"logits": logits}, None, problem_type) for got in (logits, -logits))
    assert same == 1
    assert negated == (0 if how != "label" else pytest.approx(0, abs=0.3))
    rows = matrix(logits)
    whole, other = (agreed(got, rows, how) for got in (rows, -rows))
    assert (whole.equal, whole.predictions) == (1, len(rows) if how == "label" else rows.size)
    assert other.equal <= (1 / len(rows) if how == "rank" else 0.3)
    assert (other.rank_correlation, whole.rank_correlation) == ((-1, 1) if how == "rank" else (None, None))


def test_wrong_order_within_the_tolerance_of_errors_fails():
    """A reranker's scores of 5.00 to 5.02 in the opposite order: 0.4 % of them is nothing, the ranking is all."""
    eager = np.linspace(5, 5.02, 20, dtype=np.float32)[:, None]
    for got, says in ((eager, []), (eager[::-1], ["predictions agree in 0% of rows, 90% are needed"])):
        found = compare({"logits": got}, {"logits": eager}, {"logits": eager.astype(float)}, None, "reduced-precision",
                        pretrained=True)
        assert list(found.failures) == says
    labels = np.where(RNG.random((20, 4)) < 0.5, 0.01, -0.01).astype(np.float32) + np.float32([0, 0, 0, 9])
    flipped = labels * np.float32([-1, -1, -1, 1])
    for problem_type, fails in (("multi_label_classification", True), (None, False)):
        found = compare({"logits": flipped}, {"logits": labels}, None, None, "reduced-precision", True, problem_type)
        assert bool(found.failures) == fails


@pytest.mark.parametrize("shape", [(32, 1), (32,)])
def test_the_only_output_with_one_score_a_row_is_ranked_by_any_name(shape):
    """A reranker of one's own returns a bare tensor; a large offset hides a negation from every bound on errors."""
    scores = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 0.01
    assert agreement({"output": 5 - scores}, {"output": 5 + scores}, None, None) == 0
    failures = compare({"output": 5 - scores}, {"output": 5 + scores}, None, None, "quantised", True).failures
    assert any("predictions agree" in line for line in failures)


def test_token_scores_are_ranked_on_real_tokens():
    logits = RNG.normal(size=(4, 8, 1))
    mask = np.ones((4, 8), int)
    mask[:, 5:] = 0
    other = np.where(mask[..., None] == 1, logits, -9)
    assert agreement({"logits": other}, {"logits": logits}, mask, None) == 1
    assert agreement({"logits": other}, {"logits": logits}, None, None) < 1


@pytest.mark.parametrize("how", ["rank", "sign", "label"])
def test_a_single_row(how):
    one = np.array([[0.3]])
    found = agreed(-one, one, how)
    assert (found.equal, found.rank_correlation) == ({"rank": None, "sign": 0, "label": 1}[how], None)
    assert agreement({"logits": one}, {"logits": one}, None, None) is None


def test_scores_without_an_order():
    same, spread = np.ones(20), RNG.normal(size=20)
    assert rank_correlation(spread, same) is None
    assert agreed(spread[:, None], same[:, None], "rank").equal is None
    assert agreement({"logits": spread}, {"logits": same}, None, None) is None
    assert rank_correlation(same, spread) == 0
    assert agreement({"logits": same}, {"logits": spread}, None, None) == 0.5
    assert not agreed(same[:, None], spread[:, None], "rank").equal


def test_ties_share_their_places():
    eager = np.array([1.0, 2, 2, 2, 3])
    assert places_kept(np.array([1, 2.1, 2.2, 2.3, 3]), eager).all()
    assert places_kept(np.array([1, 4, 2.2, 2.3, 3]), eager).tolist() == [True, False, True, True, False]
    assert places_kept(eager, np.array([1, 2.1, 2.2, 2.3, 3])).tolist() == [True, False, False, False, True]


def test_what_is_no_number_is_left_out():
    eager = RNG.normal(size=(20, 1))
    eager[3] = np.nan
    for how in ("rank", "sign", "label"):
        assert agreed(eager, eager, how).equal == 1
    assert agreement({"logits": eager}, {"logits": eager}, None, None) == 1
    assert agreement({"logits": -eager}, {"logits": eager}, None, None) == 0
    eager[4] = -np.inf
    assert agreed(eager, eager, "rank").equal == 1
    assert agreed(eager * np.nan, eager * np.nan, "rank").equal is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(values=scores, data=st.data())
def test_rankings(values, data):
    """Any increasing function of the scores is the same ranking; exchanging two different ones is another."""
    eager = np.array(values)[:, None]
    same = agreed(np.exp(eager / 3), eager, "rank")
    assert (same.equal, same.rank_correlation) == (1, pytest.approx(1))
    first, second = data.draw(st.tuples(*[st.integers(0, len(values) - 1)] * 2).filter(
        lambda pair: values[pair[0]] != values[pair[1]]))
    got = eager.copy()
    got[[first, second]] = got[[second, first]]
    other = agreed(got, eager, "rank")
    assert other.equal == pytest.approx(1 - 2 / len(values))
    assert other.rank_correlation < 1
    assert agreed(-eager, eager, "rank").rank_correlation == pytest.approx(-1)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    """A directory of a model with one label, as `save_pretrained` writes it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    directory = tmp_path_factory.mktemp("models") / "reranker"
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(
        vocab_size=1000, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        initializer_range=0.05, num_labels=1)).save_pretrained(directory)
    return directory


@pytest.mark.parametrize(("head", "problem_type", "how"), [
    ("sequence-classification", None, "rank"), ("sequence-classification", "multi_label_classification", "sign")])
def test_a_head_with_one_label(reranker, store, placement, head, problem_type, how):
    """Its task and its reference see negated scores; as a regression it says so by having one label."""
    workshop = Workshop(str(reranker), store, placement)
    workshop.model.config.problem_type = problem_type
    work = Labelling(head, 20, 16)
    expected = workshop.reference.compute(work.inputs(workshop.model))
    wrong = {"logits": -expected.outputs["logits"]}
    same, other = (work.agreed(workshop.model, got, expected.outputs) for got in (expected.outputs, wrong))
    assert (same.how, same.equal, same.predictions) == (how, 1, 20)
    assert other.equal < 0.1
    assert expected.judge(wrong, "quantised-coarse").failures
    assert expected.judge(expected.outputs, "exact-math").agreement == 1


@pytest.mark.slow
def test_a_session_with_one_label(reranker, tmp_path):
    file, markdown = tmp_path / "run.json", tmp_path / "summary.md"
    ended = run_pytest("perf_tests/test_tasks.py", "--benchmark-only", "--grid", "smoke", "--model", str(reranker),
                       "--variant", "eager", "--time-budget", "0.2", "--threads", "1", "--benchmark-json", str(file),
                       "--benchmark-save-data", "--summary-md", str(markdown))
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    assert records.problems(content) == []
    record = content["benchmarks"][0]["extra_info"]["result"]
    assert (record["predictions_read_as"], record["predictions"], record["rank_correlation"]) == ("rank", 2, 1.0)
    assert "100.0% of 2 places, Kendall 1.00" in markdown.read_text()


def test_table_of_rankings():
    def record(variant, equal, correlation):
        return made("tasks", variant=variant, predictions=4, predictions_equal=equal, rank_correlation=correlation)

    records = [record("none", None, None), record("half", 0.5, 0.33), record("all", 1.0, 1.0)]
    grid, = EXPERIMENTS["tasks"].tables("m", records)
    assert [row[1:3] for row in grid.rows] == [["all", "100.0% of 4 places, Kendall 1.00"],
                                               ["half", "50.0% of 4 places, Kendall 0.33"], ["none", "no ranking of 4"]]
