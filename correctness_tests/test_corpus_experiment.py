"""The corpus: a documented distribution, equal by seed, one's own text, and what is wrong with a file."""

from types import SimpleNamespace

import numpy as np
import pytest
from running import run_pytest
from selections import planned

from eagerbench.errors import BadInput, CannotRun
from eagerbench.experiments import length, padding
from eagerbench.experiments.length import LengthBatch
from eagerbench.experiments.padding import PaddingPair
from eagerbench.models import specs
from eagerbench.workloads import corpus
from eagerbench.workloads.corpus import Corpus


def test_generated_lengths_are_as_documented():
    words = [len(text.split()) for text in Corpus(1000).texts]
    assert 11 <= np.median(words) <= 13
    assert 13 <= np.mean(words) <= 16
    assert 0.03 <= np.mean(np.asarray(words) > 32) <= 0.07
    assert max(words) <= corpus.MOST_WORDS


@pytest.mark.parametrize("model_name", ["minilm", "tiny-gpt2"])
def test_seed_decides(workshops, model_name):
    model = workshops(model_name).model
    first, same, other = (Corpus(50, seed).tokenised(model) for seed in (0, 0, 1))
    assert first.sha256 == same.sha256 != other.sha256
    assert len(first.rows) == 50
    assert {row.dtype for row in first.rows} == {np.dtype(np.int64)}


def test_text_is_text_to_the_tokenizer(workshops):
    model = workshops("minilm").model
    rows = Corpus(50).tokenised(model).rows
    assert all((row[0], row[-1]) == (model.tokenizer.cls_token_id, model.tokenizer.sep_token_id) for row in rows)
    assert not any(model.tokenizer.unk_token_id in row for row in rows)


def test_file_is_read_line_by_line(tmp_path, workshops):
    """Blank lines are skipped and counted, ends of lines and a byte order mark are no text, a long line is cut."""
    file = tmp_path / "My Reviews.txt"
    file.write_bytes("\ufeffGood.\r\n\r\n  Très bon !  \n\t\n".encode() + b"word " * 20_000 + b"\nlast")
    assert corpus.read(str(file)).sentences[:2] == ("Good.", "Très bon !")
    assert corpus.read(str(file)).blank_lines == 2
    whole = Corpus(4, 0, str(file))
    assert whole.name == "my-reviews-n4"
    found = whole.tokenised(workshops("minilm").model)
    assert (len(found.rows), found.truncated, found.limit, max(found.lengths)) == (4, 1, 256, 256)
    assert found.rows[2][-1] == workshops("minilm").model.tokenizer.sep_token_id
    assert len(Corpus(2, 0, str(file)).tokenised(workshops("minilm").model).rows) == 2


@pytest.mark.parametrize(("content", "says"), [
    (None, "No such file or directory; name a text file, one sentence a line"),
    (b"", "no sentence in it (0 blank lines)"),
    (b"\n \n\t\n", "no sentence in it (3 blank lines)"),
    (b"fine\n\xff\xfe\n", "line 2 is not UTF-8; convert the file"),
])
def test_bad_file_is_one_line(tmp_path, content, says):
    file = tmp_path / "corpus.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput) as error:
        corpus.read(str(file))
    assert str(error.value).startswith(f"--corpus {file}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_file_is_a_usage_error(tmp_path):
    ended = run_pytest("--list-cases", f"--corpus={tmp_path}")
    assert ended.code == 4
    assert f"ERROR: --corpus {tmp_path}: Is a directory" in ended.err
    assert "Traceback" not in ended.out + ended.err


def test_models_without_sentences(workshops, tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("One sentence.\n")
    with pytest.raises(CannotRun, match="has no parameter input_ids"):
        Corpus(4).tokenised(workshops("tiny-vit").model)
    with pytest.raises(CannotRun, match="has no tokenizer: it cannot read a text"):
        Corpus(1, 0, str(file)).tokenised(workshops("tiny-bert").model)
    cases = planned(model=["tiny-vit", "tiny-bert"], variant=["sdpa"], corpus=str(file))
    assert {case.reason for case in cases if case.experiment == "corpus"} == {
        "tiny-vit reads images, not text", "tiny-bert has no tokenizer: it cannot read a text"}


@pytest.mark.parametrize(("rows", "length", "percent", "layout"), [
    (rows, length, *point) for rows, length, points in padding.GRIDS.values() for point in points])
@pytest.mark.parametrize("model_name", ["minilm", "tiny-gpt2"])
def test_padding_pair(workshops, model_name, rows, length, percent, layout):
    """The same tokens on both sides; the padded side has one long row and the share of padding that it says."""
    work = PaddingPair(rows, length, percent, layout)
    model = workshops(model_name).model
    equal, skewed = work.rows(model)
    assert np.array_equal(np.concatenate(equal), np.concatenate(skewed))
    assert [len(row) for row in skewed] == work.lengths
    assert len({len(row) for row in equal}) == 1
    assert max(work.lengths) == length
    assert max(work.lengths[1:]) - min(work.lengths[1:]) <= 1
    assert 1 - sum(work.lengths) / (rows * length) == pytest.approx(percent / 100, abs=0.5 / length)
    assert sorted(index for batch in work.batches for index in batch) == list(range(rows))
    assert np.array_equal(equal[0], work.rows(model)[0][0])


def test_padding_that_rows_cannot_have_is_refused():
    with pytest.raises(ValueError, match="90 % of padding needs more than 8 rows"):
        _ = PaddingPair(8, 128, 90, "one-batch").lengths


def test_length_rows_are_full(workshops):
    assert LengthBatch(4, 24).inputs(workshops("minilm").model)["attention_mask"].all()
    assert "at most 512" in LengthBatch(1, 513).refuses(specs.resolve("minilm", 0), *_eager())


def test_lengths_are_measured_shortest_first():
    selection = SimpleNamespace(grid="default", batch_sizes=(), sequence_lengths=(256, 64, 16), seed=0)
    assert [batch.sequence_length for batch in length.workloads(specs.resolve("minilm", 0), selection)] == [16, 64, 256]


def test_a_text_is_cut_where_positions_end():
    """RoBERTa's start behind its padding index: of a factory's model with 514 of them 512 can be used."""
    from transformers import BertConfig, CamembertConfig

    from eagerbench.models.sentence import MEAN
    from eagerbench.workloads.padded_batch import length_limit

    for config in (CamembertConfig(max_position_embeddings=514), BertConfig(max_position_embeddings=512)):
        model = SimpleNamespace(spec=SimpleNamespace(max_length=None), config=config, tokenizer=None, sentence=MEAN)
        assert length_limit(model) == 512


def _eager():
    from eagerbench import backends

    return backends.variants()["eager"]


def test_outputs_that_would_fill_the_memory_are_refused_before_any_batch(workshops, monkeypatch):
    """A language model's logits: told from the shortest sentence, of which one is computed."""
    from eagerbench.measuring import sentences

    workshop = workshops("tiny-gpt2")
    corpus_rows = Corpus(24).tokenised(workshop.model).rows
    called = []
    monkeypatch.setattr(workshop.reference, "compute_all", lambda batches, count: called.append(batches))
    size = 3 * 4 * sum(map(len, corpus_rows)) * workshop.model.config.vocab_size  # bytes, float32 and float64 together
    monkeypatch.setattr(sentences, "_MOST_BYTES", size - 1)
    with pytest.raises(CannotRun, match=r"outputs on \d+ tokens would take 0\.\d GiB; choose fewer with --sentences"):
        sentences.expected_of(corpus_rows, workshop.model, workshop.reference)
    assert not called
