"""Sessions with files of labels: one of an embedding model and a classifier, and what is refused before it begins."""

import json

import numpy as np
import pytest
import torch
import transformers
from running import run_pytest
from selections import planned

from eagerbench.errors import BadInput
from eagerbench.results import records
from eagerbench.results.decode import decode

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"word{index}" for index in range(60))]
QUERIES = 20
LABELS = {0: "negative", 1: "positive"}


def _text(index: int) -> str:
    return " ".join(WORDS[4 + (7 * index + 3 * place) % 60] for place in range(3 + index % 5))


def save(directory, kind: str, **more) -> str:
    """A tiny BERT with a tokenizer of its own."""
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=64, max_position_embeddings=64, **more)
    getattr(transformers, kind)(config).save_pretrained(directory)
    (directory / "vocab.txt").write_text("\n".join(WORDS))
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return str(directory)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Paths of models and files, by what they are."""
    root = tmp_path_factory.mktemp("labelled")
    found = {"embedder": save(root / "embedder", "BertModel"),
             "classifier": save(root / "classifier", "BertForSequenceClassification", id2label=LABELS,
                                label2id={name: index for index, name in LABELS.items()}),
             "regressor": save(root / "regressor", "BertForSequenceClassification", num_labels=1),
             "answerer": save(root / "answerer", "BertForQuestionAnswering")}
    files = {"queries": "".join(f"{_text(index)} word1\t{_text(index)}\n" for index in range(QUERIES)),
             "labels": "text\tlabel\n" + "".join(f"{_text(index)}\t{LABELS[index % 2]}\n" for index in range(QUERIES)),
             "strange": "good\tpositive\nso so\tneutral\n"}
    for name, content in files.items():
        (root / f"{name}.tsv").write_text(content)
        found[name] = str(root / f"{name}.tsv")
    return found


@pytest.fixture(scope="module")
def session(made, tmp_path_factory):
    """Records by model and variant."""
    file = tmp_path_factory.mktemp("session") / "run.json"
    ended = run_pytest("perf_tests/test_quality.py", "--benchmark-only", "--grid", "smoke", "--variant", "eager",
                       "--variant", "dynamic-int8", "--variant", "torchscript-freeze", f"--model={made['embedder']}",
                       f"--model={made['classifier']}", "--retrieval", made["queries"], "--labels", made["labels"],
                       "-k", "retrieval or labels", "-v", "--benchmark-json", str(file))
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    assert records.problems(content) == []
    found = [decode(bench["extra_info"]) for bench in content["benchmarks"]]
    return {(one.identity.model, one.identity.variant): one for one in found}


def test_each_model_has_the_metric_of_its_kind(session):
    found = session
    assert {key: record.result.metric for key, record in found.items()} == {
        (model, variant): metric for model, metric in (("embedder", "hit@1"), ("classifier", "accuracy"))
        for variant in ("eager", "dynamic-int8", "torchscript-freeze")}
    assert found["embedder", "eager"].identity.workload == f"retrieval-queries-n{QUERIES}"
    assert found["classifier", "eager"].identity.workload == f"labels-labels-n{QUERIES}"


def test_eager_loses_nothing_against_itself(session):
    for model in ("embedder", "classifier"):
        result = session[model, "eager"].result
        assert (result.quality_loss, result.lost, result.won, result.mcnemar_p) == (0, 0, 0, 1)
        assert result.quality == result.quality_eager
        assert result.quality_loss_low < 0 < result.quality_loss_high
        assert result.items == QUERIES


def test_every_loss_adds_up(session):
    for record in session.values():
        result = record.result
        assert result.quality_loss == pytest.approx((result.lost - result.won) / result.items)
        assert result.quality_loss == pytest.approx(result.quality_eager - result.quality)
        assert result.quality_loss_low <= result.quality_loss <= result.quality_loss_high
    assert session["embedder", "torchscript-freeze"].result.lost == 0  # exact math


def test_metrics_are_those_of_transformers_itself(made, session):
    """By plain calls of the library, one text at a time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(made["embedder"])
    embedder = transformers.AutoModel.from_pretrained(made["embedder"]).eval()
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(made["classifier"]).eval()
    with torch.inference_mode():
        def embedding(text):
            vector = embedder(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
            return vector / np.linalg.norm(vector)

        queries, documents = (np.stack([embedding(_text(index) + more) for index in range(QUERIES)])
                              for more in (" word1", ""))
        labels = [int(classifier(**tokenizer(_text(index), return_tensors="pt")).logits.argmax())
                  for index in range(QUERIES)]
    places = (-queries @ documents.T).argsort(1)
    ranks = 1 + np.array([list(row).index(index) for index, row in enumerate(places)])
    searched, labelled = (session[model, "eager"].result for model in ("embedder", "classifier"))
    assert searched.quality == pytest.approx(np.mean(ranks == 1))
    assert searched.mrr_at_10 == pytest.approx(np.mean(np.where(ranks <= 10, 1 / ranks, 0)))
    assert labelled.quality == pytest.approx(np.mean([label == index % 2 for index, label in enumerate(labels)]))


@pytest.mark.parametrize(("model", "option", "file", "says"), [
    ("classifier", "retrieval", "queries", "has a head for sequence-classification: its texts have no embedding"),
    ("embedder", "labels", "labels", "embedder is no sequence classifier"),
    ("answerer", "labels", "labels", "answerer is no sequence classifier"),
    ("regressor", "labels", "labels", "has one label"),
    ("classifier", "labels", "strange", "line 2 has the label 'neutral', which the model does not have; write one of "
                                        "its own by name or number: 0 negative, 1 positive")])
def test_what_no_model_can_answer_is_refused(made, model, option, file, says):
    with pytest.raises(BadInput) as error:
        planned(model=[made[model]], **{option: made[file]})
    assert says in str(error.value)
    assert str(error.value).startswith(f"--{option} {made[file]}")
    assert "\n" not in str(error.value)


def test_random_weights_are_refused(made):
    with pytest.raises(BadInput, match="bert-base has random weights"):
        planned(model=["bert-base"], labels=made["labels"])


def test_one_model_that_can_is_enough(made):
    cases = planned(model=["bert-base", made["embedder"]], retrieval=made["queries"], variant=["eager"])
    found = {case.model.name: case.reason for case in cases if case.workload.id.startswith("retrieval-")}
    assert found["embedder"] is None
    assert "random weights" in found["bert-base"]


@pytest.mark.slow
def test_exit_code_is_usage_before_anything_runs(made, tmp_path):
    """Of a file, and of a model that only loading shows to be the wrong one."""
    bare = save(tmp_path / "bare", "BertModel")
    for name in ("vocab.txt", "tokenizer_config.json"):
        (tmp_path / "bare" / name).unlink()
    ended = run_pytest("perf_tests/test_quality.py", "--benchmark-only", "--variant", "eager", "--model", bare,
                       "--retrieval", made["queries"])
    assert ended.code == 4, ended.out
    errors = [line for line in (ended.out + ended.err).splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1
    assert "bare has no tokenizer: it cannot read a text" in errors[0]


@pytest.mark.slow
def test_a_build_of_one_shape_reads_sentences_too(made, tmp_path):
    """Through the very build that latency uses: nothing is built for quality, and the metric is the others'."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"{_text(index)}\n" for index in range(QUERIES)))
    file = tmp_path / "run.json"
    ended = run_pytest("perf_tests/test_latency.py", "perf_tests/test_quality.py", "--benchmark-only", "--grid=smoke",
                       "--batch-sizes", "2", "--sequence-lengths", "16", "--variant", "torchscript-onednn",
                       "--variant", "sdpa", "--model", made["embedder"], "--corpus", str(corpus), "--peaks", "here",
                       "--time-budget", "0.1", "--benchmark-json", str(file))
    assert ended.code == 0, ended.out
    found = {(record.identity.variant, record.identity.experiment): record for record in
             (decode(bench["extra_info"]) for bench in json.loads(file.read_text())["benchmarks"])}
    latency, kept = (found["torchscript-onednn", experiment] for experiment in ("latency", "quality"))
    assert latency.costs.build_s == kept.costs.build_s  # to the last digit: one build
    assert found["sdpa", "quality"].workload == kept.workload
    assert (kept.result.metric, kept.result.items, kept.result.quality) == ("neighbours kept", QUERIES, 1.0)


def test_two_models_are_asked_the_same(made, session, tmp_path):
    """What `eagerbench gate --base-model … --head-model … -- --labels FILE` reports beside the time."""
    from eagerbench.measuring import two_models

    flipped = save(tmp_path / "flipped", "BertForSequenceClassification", id2label={0: "positive", 1: "negative"})
    found = two_models.compared((made["classifier"], flipped), "--labels", made["labels"])
    assert found["base"] == session["classifier", "eager"].result.quality
    assert found["head"] == pytest.approx(1 - found["base"])  # the same logits under the other names
    assert (found["lost"], found["won"]) == (round(QUERIES * found["base"]), round(QUERIES * found["head"]))
    same = two_models.compared((made["embedder"], made["embedder"]), "--retrieval", made["queries"])
    assert (same["loss"], same["lost"], same["p"], same["items"]) == (0, 0, 1, QUERIES)
    assert same["base"] == session["embedder", "eager"].result.quality
    refused = two_models.compared((made["classifier"], made["regressor"]), "--labels", made["labels"])
    assert "has one label" in refused["reason"]
