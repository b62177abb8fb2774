"""The quality experiment: its files of labelled pairs, its one-shape batches, its correlation."""

import json

import numpy as np
import pytest
from made_records import made
from running import run_pytest

from eagerbench import backends
from eagerbench.errors import BadInput
from eagerbench.experiments.quality import BATCH_SIZE, OneShapePass, QualityTexts, distinct, one_shape
from eagerbench.experiments.quality_tables import headline, rank, tables
from eagerbench.models import specs
from eagerbench.outputs.quality import cosine, spearman
from eagerbench.results import records
from eagerbench.results.decode import decode
from eagerbench.workloads.batching import by_length
from eagerbench.workloads.corpus import Corpus
from eagerbench.workloads.pairs import EvalPairs, read_pairs

PAIRS = "".join(f"The cat sleeps {n} hours.\tA cat slept for {n} hours.\t{n / 2}\n" for n in range(10))


def pairs_file(directory, content: bytes | str) -> str:
    directory.mkdir(exist_ok=True)
    file = directory / "pairs.tsv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def test_pairs_are_read(tmp_path):
    file = pairs_file(tmp_path, f"sentence1\tsentence2\tscore\n\n{PAIRS}\n")
    pairs = read_pairs(file)
    assert (pairs.first[1], pairs.second[1], pairs.scores[:3]) == ("The cat sleeps 1 hours.",
                                                                   "A cat slept for 1 hours.", (0, 0.5, 1))
    odd = PAIRS.replace(" sleeps", "\u2028sleeps\x0c").replace("\n", "\r\n")
    again = read_pairs(pairs_file(tmp_path / "crlf", odd))
    assert (len(again.scores), again.first[0]) == (10, "The cat\u2028sleeps\x0c 0 hours.")
    corpus = EvalPairs(20, 0, file)
    assert corpus.texts == pairs.first + pairs.second
    assert corpus.name == "pairs-n20"


@pytest.mark.parametrize(("content", "says"), [
    (b"", "0 pairs in it; at least 8 are needed"),
    (b"caf\xe9\tb\t1\n", "is not UTF-8"),
    ("a\tb\n" + PAIRS, "line 1 is not sentence1 TAB sentence2 TAB score"),
    (PAIRS + "a\tb\tgood\n", "line 11 is not sentence1 TAB"),
    (PAIRS + "a\tb\tnan\n", "line 11 is not sentence1 TAB"),
    (PAIRS + "\tb\t1\n", "line 11 is not sentence1 TAB"),
    (PAIRS + "a,b,1\n", "line 11 is not sentence1 TAB"),
    ("a\tb\t1\n" * 7, "7 pairs in it; at least 8"),
    (PAIRS + "a\u2028b\tc\tgood\n", "line 11 is not sentence1 TAB"),
    ("a\tb\t1\n" * 9, "every score is 1; a correlation needs different ones"),
])
def test_bad_pairs_are_one_line(tmp_path, content, says):
    with pytest.raises(BadInput) as error:
        read_pairs(pairs_file(tmp_path, content))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_pairs_are_one_line(tmp_path):
    with pytest.raises(BadInput, match="No such file or directory; name a file of lines"):
        read_pairs(str(tmp_path / "none.tsv"))


def test_random_weights_are_refused():
    work = QualityTexts(Corpus(32))
    eager = backends.variants()["eager"]
    assert "tiny-bert has random weights: their quality means nothing" in work.refuses(
        specs.resolve("tiny-bert", 0), *eager)
    minilm = specs.resolve("minilm", 0)
    assert work.refuses(minilm, *eager) is None
    assert "15 sentences: at least 16" in QualityTexts(Corpus(15)).refuses(minilm, *eager)
    compiled = backends.variants()["torch-compile"]
    assert "add --grid full" in work.refuses(minilm, *compiled)
    assert QualityTexts(Corpus(32), rebuilds=True).refuses(minilm, *compiled) is None


def test_batches_of_one_shape_give_the_same_sentences(workshops):
    """What builds that serve one shape get, cut to what the others give."""
    from eagerbench.measuring.sentences import Pass, of_sentences
    from eagerbench.outputs.tolerance import compare

    workshop = workshops("minilm")
    rows = Corpus(21).tokenised(workshop.model).rows
    lengths = [len(row) for row in rows]
    batches = by_length(lengths, BATCH_SIZE)
    shapes = {inputs["input_ids"].shape for inputs in one_shape(rows, batches, workshop.model)}
    assert shapes == {(BATCH_SIZE, max(lengths))}
    runner = workshop.reference.runner
    shaped = OneShapePass(runner, rows, batches, workshop.model)
    assert shaped.first_inputs["input_ids"].shape == (BATCH_SIZE, max(lengths))
    got = of_sentences(shaped.cut(shaped(), batches, lengths), batches, lengths)
    want = of_sentences(Pass(runner, rows, batches, workshop.model)(), batches, lengths)
    assert not compare(got, want, None, None, "exact-math", pretrained=True).failures
    assert got["sentence_embedding"].shape == (21, 384)


def test_twins_are_no_neighbours():
    """Of three sentences, one of them twice, the twin would be the nearest whatever a variant does."""
    rows = [np.array(ids) for ids in ([5, 6], [7], [5, 6], [8])]
    assert distinct(rows) == [0, 1, 3]


@pytest.mark.slow
def test_a_session_with_pairs_of_the_users(tmp_path):
    file, pairs = tmp_path / "run.json", pairs_file(tmp_path, PAIRS)
    ended = run_pytest("perf_tests/test_quality.py", "--benchmark-only", "--grid", "smoke", "--variant", "eager",
                       "--variant", "dynamic-int8", f"--eval={pairs}", "-k", "pairs or dynamic-int8", "--time-budget",
                       "0.1", "--peaks", "here", "--benchmark-json", str(file))
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    assert records.problems(content) == []
    found = {record.identity.bench_id: record
             for record in (decode(bench["extra_info"]) for bench in content["benchmarks"])}
    exact, int8 = (found[f"minilm/{name}/quality/pairs-n20/cpu"].result for name in ("eager", "dynamic-int8"))
    assert exact.spearman == exact.spearman_eager == int8.spearman_eager
    assert exact.neighbours_changed == 0 < found["minilm/dynamic-int8/quality/n32/cpu"].correctness.max_abs_error
    assert (int8.pairs_scored, int8.distinct_sentences) == (10, 20)


def test_correlation_with_scores():
    angles = np.linspace(0, 3, 12)
    first = np.tile([1.0, 0.0], (12, 1))
    second = np.stack([np.cos(angles), np.sin(angles)], 1) * 5
    assert np.allclose(cosine(first, second), np.cos(angles))
    assert spearman(cosine(first, second), -angles) == pytest.approx(1)
    assert spearman(cosine(first, second), angles) == pytest.approx(-1)


def record(variant, **more):
    return made("quality", **{"variant": variant, "workload": "n32", "neighbours_changed": None, **more})


def test_older_records_have_a_table_too():
    """Of files from before there was a metric."""
    plain, pairs = tables("m", [
        record("coarse", neighbours_changed=0.25), record("fine", neighbours_changed=0.0),
        record("fine", neighbours_changed=0.0, workload="pairs", pairs_scored=9, spearman=0.8, spearman_eager=0.85)])
    assert [row[:3] for row in plain.rows] == [["fine", "100.0%", "0.0"], ["coarse", "75.0%", "25.0"]]
    assert len(pairs.rows) == 1


SEARCHED = {"metric": "hit@1", "items": 1000, "quality_eager": 0.298, "mrr_at_10": 0.39, "mrr_at_10_eager": 0.4,
            "cosine_mean": 0.99}


def test_a_search_has_one_table_with_one_metric():
    better = record("fine", **SEARCHED, quality=0.299, quality_loss=-0.001, quality_loss_low=-0.0118,
                    quality_loss_high=0.0097, lost=13, won=14, mcnemar_p=1.0)
    worse = record("coarse", **SEARCHED, quality=0.279, quality_loss=0.019, quality_loss_low=0.0041,
                   quality_loss_high=0.034, lost=38, won=19, mcnemar_p=0.0165, tied=2, lines_without_text=1)
    (grid,) = tables("m", [worse, better])
    assert grid.rows == [["fine", "29.9%", "-0.1 [-1.2, 1.0]", "13, 14", "1.00", "0.390", "0.99000"],
                         ["coarse", "27.9%", "1.9 [0.4, 3.4]", "38, 19", "0.017", "0.390", "0.99000"]]
    assert len(grid.header) == len(grid.rows[0]) == 7
    assert "1,000 queries" in grid.note
    assert "In up to 2 of them the right answer shares its score" in grid.note
    assert headline(worse) == "hit@1 27.9%, loss 1.9 [0.4, 3.4] points"
    assert rank(better) > rank(worse)


def test_a_metric_needs_its_numbers():
    with pytest.raises(ValueError, match="metric without items"):
        record("fine", metric="hit@1")
    with pytest.raises(ValueError, match="neither metric nor neighbours_changed"):
        record("fine")
