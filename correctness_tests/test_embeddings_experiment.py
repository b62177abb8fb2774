"""Texts to embeddings: the same as sentence-transformers makes, its rows and what proves them, and a real session."""

import json
from types import SimpleNamespace

import numpy as np
import packages
import pytest
from made_records import made
from running import run_pytest
from selections import planned

from eagerbench import backends
from eagerbench.backends.sentence_transformers_encode import NEEDS, _version
from eagerbench.errors import CannotRun, Refused
from eagerbench.experiments import EXPERIMENTS
from eagerbench.experiments.embeddings import parts_of_request, tables
from eagerbench.measuring import recording
from eagerbench.measuring.embedding import Encoder, Requests
from eagerbench.models import specs
from eagerbench.results.decode import decode
from eagerbench.workloads.fast_tokenizer import fast_tokenizer

ROWS = tuple(name for name in backends.variants() if name.startswith("sentence-transformers"))
TEXTS = ["The old cat sleeps.", "What is a river?", "THE DOG barks when the cat sleeps , and then it ends."]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Two pooling modes that leave a prompt out, a dense layer, normalised; texts in lower case, cut at 20 tokens."""
    return packages.save_sentences(tmp_path_factory.mktemp("models") / "tiny-sentences")


@pytest.fixture(scope="module")
def model(directory):
    from eagerbench.models.loading import load

    return load(specs.resolve(str(directory), 0))


@pytest.fixture(scope="module")
def theirs(model, placement):
    """sentence-transformers on PyTorch."""
    variant, backend = backends.variants()["sentence-transformers"]
    return backend.build(variant, model, {}, placement)


def ours(model):
    from eagerbench.backends.torch_runner import TorchRunner

    return Encoder(TorchRunner(model.copy()), model)


def test_ours_are_those_of_sentence_transformers(model, theirs):
    """Prompt, case, both poolings without the prompt, the dense layer and normalisation; whatever the batch."""
    together = ours(model)(TEXTS)
    assert together.dtype == np.float32
    assert np.allclose(together, theirs(TEXTS), atol=2e-6)
    assert np.allclose(together, np.concatenate([ours(model)([text]) for text in TEXTS]), atol=2e-6)
    assert np.abs(together[0] - together[1]).max() > 0.01  # two texts are no one embedding


def test_the_clock_counts_the_model_alone(model, theirs):
    for encode in (ours(model), theirs):
        requests = Requests(encode, TEXTS, [[0, 1], [2]])
        found = requests()
        assert [len(rows) for rows in found] == [2, 1]
        assert len(requests.shares) == 1
        assert 0 < requests.shares[0] < 1


def test_shares_of_timed_calls_by_turn():
    """Calls before the turns, and the untimed one that begins each, are none of them."""
    turns = SimpleNamespace(schedule=SimpleNamespace(touch=True), variant_turns=[2, 1])
    assert recording.by_turn([9, 9, 0, 1, 2, 0, 3], turns) == [[1, 2], [3]]
    turns.schedule.touch = False
    assert recording.by_turn([9, 9, 1, 2, 3], turns) == [[1, 2], [3]]


def test_a_tokenizer_that_gives_other_ids_is_refused(model):
    class Other:
        """Their tokenizer, whose rows have one id more."""

        def __getattr__(self, name):
            return getattr(model.tokenizer, name)

        def __call__(self, *texts, **how):
            return {"input_ids": [*model.tokenizer(*texts, **how)["input_ids"], 5]}

    with pytest.raises(CannotRun, match="gives other tokens than Other for"):
        fast_tokenizer(SimpleNamespace(**{**vars(model), "tokenizer": Other(), "config": model.config}))
    slow = SimpleNamespace(tokenizer=object(), spec=model.spec, config=model.config, sentence=model.sentence)
    with pytest.raises(CannotRun, match="object is written in Python and has no tokenizer"):
        fast_tokenizer(slow)


def available(name: str) -> bool:
    variant, backend = backends.variants()[name]
    return backend.unavailable(variant, "cpu") is None


@pytest.mark.parametrize("name", ROWS)
def test_probe_tells_the_backend_in_effect(model, theirs, placement, name):
    """Engaged as it is built, not with the backend switched off. Where optimum is missing the second half holds too."""
    variant, backend = backends.variants()[name]
    if available(name):
        runner = theirs if name == "sentence-transformers" else backend.build(variant, model, {}, placement)
        assert np.allclose(runner(TEXTS), ours(model)(TEXTS), atol=2e-6 if variant.dtype == "float32" else 0.05)
        found = backend.probe(variant, runner, {})
        assert found.engaged, found.summary
        assert runner.threads == placement.threads
    elif variant.dtype == "bfloat16":
        pytest.skip("its control is the float32 build of the same backend")
    found = backend.probe(variant, backend.build_disengaged(variant, model, {}, placement), {})
    assert not found.engaged, found.summary
    assert found.facts["backend"] == ("openvino" if variant.dtype == "bfloat16" else "torch")


@pytest.mark.parametrize("name", ROWS)
def test_without_optimum_it_says_what_to_install(monkeypatch, name):
    variant, backend = backends.variants()[name]
    monkeypatch.setattr("eagerbench.backends.sentence_transformers_encode._version",
                        lambda package: None if package.startswith("optimum") else _version(package))
    (needed,) = [package for package in NEEDS[variant.options["backend"]] if "optimum" in package] or [None]
    reason = backend.unavailable(variant, "cpu")
    assert (reason is None) == (needed is None)
    assert reason is None or reason.startswith(f"not installed: {needed}") or "bf16" in reason
    assert "not on cuda" in backend.unavailable(variant, "cuda:0")


def test_it_loads_directories_only(model, placement):
    variant, backend = backends.variants()["sentence-transformers"]
    for spec in (specs.resolve("tiny-bert", 0), specs.resolve(f"{model.spec.root}@layers=1", 0)):
        with pytest.raises(Refused, match="save the model, and give its directory"):
            backend.build(variant, SimpleNamespace(spec=spec), {}, placement)


def reasons(experiment: str, **options) -> set[str | None]:
    return {case.reason for case in planned(**options) if case.experiment == experiment}


def test_it_is_in_no_default_run_and_has_rows_of_its_own(directory):
    named = {"model": [str(directory)], "variant": ["sentence-transformers"]}
    assert reasons("embeddings", **named) == {"not in the default run; name test_embeddings.py"}
    assert reasons("embeddings", **named, grid="full") == {None}
    assert reasons("latency", **named) == reasons("serving", **named, grid="full") == {
        "it reads texts, this workload has arrays; name test_embeddings.py"}
    assert reasons("embeddings", model=["tiny-bert"], variant=["eager"], grid="full") == {
        "tiny-bert has a head (sequence-classification): its texts have no embedding"}
    assert reasons("embeddings", model=["tiny-vit"], variant=["eager"], grid="full") == {
        "tiny-vit reads images, not text"}
    assert reasons("embeddings", model=["tiny-whisper-encoder"], variant=["eager"], grid="full") == {
        "tiny-whisper-encoder reads audio, not text"}
    assert reasons("embeddings", model=[str(directory)], variant=["torch-compile"], grid="full") == {
        "its build serves one shape, this workload has several"}


def test_the_table_has_the_size_of_a_request_first():
    found = [made("embeddings", variant=variant, batch_size=size, texts_per_s=rate, model_share=0.75)
             for variant, size, rate in (("a", 8, 5.0), ("b", 1, 2.0), ("c", 8, 9.0))]
    (grid,) = tables("m", found)
    assert [row[:3] for row in grid.rows] == [["1", "b", "2.0"], ["8", "c", "9.0"], ["8", "a", "5.0"]]
    assert sum(parts_of_request(found[0]).values()) == pytest.approx(1e3 * found[0].result.request_s)
    assert EXPERIMENTS["embeddings"].headline(found[2]) == "9.00 texts/s"


@pytest.fixture(scope="module")
def ran(directory, tmp_path_factory):
    """A session of two variants on arrays and of sentence-transformers."""
    file = tmp_path_factory.mktemp("session") / "run.json"
    ended = run_pytest("perf_tests/test_embeddings.py", "--benchmark-only", "--model", str(directory), "--variant",
                       "eager", "--variant", "torchscript", "--variant", "sentence-transformers", "--grid", "smoke",
                       "--threads", "1", "--no-report", "--benchmark-json", str(file), "--benchmark-save-data", "-v")
    assert ended.code == 0, ended.out + ended.err
    return ended, {bench["extra_info"]["identity"]["variant"]: decode(bench["extra_info"])
                   for bench in json.loads(file.read_text())["benchmarks"]}


def test_a_real_session(ran):
    ended, found = ran
    assert set(found) == {"eager", "torchscript", "sentence-transformers"}
    for variant, record in found.items():
        assert record.identity.bench_id == f"tiny-sentences/{variant}/embeddings/b4/n16/cpu"
        assert record.correctness.judged_values == 16 * 16
        assert 0 < record.result.model_share < 1
        assert record.result.texts_per_s == pytest.approx(4 / record.result.request_s)
        assert record.result.pooling.startswith("cls+mean, dense 64 -> 16 Tanh, normalised; prompt")
        assert record.timing.pairs == 2
    engagement = found["sentence-transformers"].engagement
    assert engagement.facts["backend"] == "torch"
    assert engagement.facts["sdpa_calls"] > 0
    assert "tiny-sentences: texts to embeddings" in ended.out


def test_wrong_embeddings_are_no_result(model):
    """Of the mean over the prompt's tokens too, which its files leave out."""
    from eagerbench.experiments.embeddings import EmbeddingsRun

    encode = ours(model)
    right = encode(TEXTS)
    encode._embed = model.sentence.embed
    run = SimpleNamespace(
        case=SimpleNamespace(variant=SimpleNamespace(tolerance="exact-math")), model=model,
        expected=SimpleNamespace(outputs={"sentence_embedding": right}, double={"sentence_embedding": right.astype(
            np.float64)}, problem_type=None, scales=None))
    judged = [EmbeddingsRun.judge(run, SimpleNamespace(result=[rows])).failures for rows in (right, encode(TEXTS))]
    assert judged[0] == ()
    assert judged[1]
