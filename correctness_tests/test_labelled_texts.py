"""Files of queries with documents and of texts with labels: how they are read, scored, and refused."""

import codecs

import numpy as np
import pytest

from eagerbench.errors import BadInput
from eagerbench.outputs import quality
from eagerbench.workloads import labelled

PAIRS = "how warm\tthe heat of it\nhow far\tthe way to it\nhow much\tits price\n"
NAMES = {0: "negative", 1: "neutral", 2: "Positive"}


@pytest.fixture
def file(tmp_path):
    def made(content: str | bytes, name: str = "pairs.tsv") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return made


def test_queries_and_documents_are_read(file):
    found = labelled.read_retrieval(file(f"query\tdocument\n\n{PAIRS}how far\tits price\nhow warm\tthe heat of it\n"
                                         "\tx\nno answer\t \n"))
    assert found.queries == ("how warm", "how far", "how much")
    assert found.documents == ("the heat of it", "the way to it", "its price")
    assert found.relevant == ((0,), (1, 2), (2,))  # one document of two queries, two documents of one
    assert (found.lines, found.without_text) == (5, 2)


@pytest.mark.parametrize("content", [
    codecs.BOM_UTF8 + PAIRS.encode(), PAIRS.replace("\n", "\r\n").encode(), PAIRS.encode("utf-16"),
    codecs.BOM_UTF16_BE + PAIRS.encode("utf-16-be"), PAIRS.encode("utf-32"), ("Query\tDocument\n" + PAIRS).encode(),
    PAIRS.rstrip("\n").encode(), PAIRS.replace("how", " how").replace("\t", " \t ").encode()],
    ids=["utf-8 mark", "crlf", "utf-16", "utf-16 big", "utf-32", "heading", "no last line end", "blanks"])
def test_every_editor_s_file_is_the_same(file, content):
    assert labelled.read_retrieval(file(content)) == labelled.read_retrieval(file(PAIRS, "plain.tsv"))


@pytest.mark.parametrize(("content", "says"), [
    (b"", "no query with a document in it; put one on each line: query TAB document"),
    (b"query\tdocument\n", "no query with a document"),
    (PAIRS + "one part\n", "line 4 is not query TAB document"),
    (PAIRS + "a\tb\tc\n", "line 4 is not query TAB document"),
    (PAIRS + "a\u2028b\n", "line 4 is not query TAB document"),
    ("a\tx\nb\tx\n", "all of its queries have the same document"),
    (b"caf\xe9\tb\n", "is not UTF-8; convert the file"),
    (codecs.BOM_UTF16_LE + b"a\x00\t\x00b", "is not UTF-16"),
    ("a\tb\n".encode("utf-16-le"), "it has zero bytes; convert the file, for example with iconv -f UTF-16LE"),
])
def test_bad_queries_are_one_line(file, content, says):
    with pytest.raises(BadInput) as error:
        labelled.read_retrieval(file(content))
    assert says in str(error.value)
    assert str(error.value).startswith("--retrieval ")
    assert "\n" not in str(error.value)


def test_labels_are_read_and_matched(file):
    name = file("text\tlabel\nbad\tnegative\nso so\t1\nfine\tpositive\n\tneutral\n")
    found = labelled.read_labels(name)
    assert (found.texts, found.numbers, found.without_text) == (("bad", "so so", "fine"), (2, 3, 4), 1)
    assert labelled.indices(name, NAMES).tolist() == [0, 1, 2]
    assert labelled.indices(name, {0: "1", 1: "negative", 2: "positive"}).tolist() == [1, 0, 2]  # a name comes first


@pytest.mark.parametrize(("content", "says"), [
    (b"", "no text with a label in it"), ("good\n", "line 1 is not text TAB label"),
    ("good\t\n", "line 1 has no label; write text TAB label"), ("a\tb\tc\n", "line 1 is not text TAB label")])
def test_bad_labels_are_one_line(file, content, says):
    with pytest.raises(BadInput) as error:
        labelled.read_labels(file(content))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("label", ["mixed", "3", "-1", "NEGATIVE\x1b[0m"])
def test_a_label_that_the_model_has_not_is_one_line(file, label):
    with pytest.raises(BadInput) as error:
        labelled.indices(file(f"bad\tnegative\nwhat\t{label}\n"), NAMES)
    assert "line 2 has the label" in str(error.value)
    assert "by name or number: 0 negative, 1 neutral, 2 Positive" in str(error.value)
    assert str(error.value).isprintable()


def test_names_that_differ_in_case_only_must_be_exact(file):
    names = {0: "US", 1: "us"}
    assert labelled.indices(file("a\tus\nb\tUS\n"), names).tolist() == [1, 0]
    with pytest.raises(BadInput, match="line 1 has the label 'Us'"):
        labelled.indices(file("a\tUs\n", "other.tsv"), names)


def test_names_of_labels():
    assert labelled.label_names({"id2label": {"0": "a", "1": "b"}}) == {0: "a", 1: "b"}
    assert labelled.label_names({}) == {0: "LABEL_0", 1: "LABEL_1"}
    with pytest.raises(BadInput, match="id2label is no mapping"):
        labelled.label_names({"id2label": {"first": "a"}})


def test_no_label_is_right_where_several_hold_or_none():
    assert "multi label classification" in labelled.no_labels({"problem_type": "multi_label_classification"}, "m")
    assert "regression" in labelled.no_labels({"problem_type": "regression"}, "m")
    assert "one label" in labelled.no_labels({"id2label": {"0": "score"}}, "m")
    assert labelled.no_labels({"id2label": {"0": "a", "1": "b"}}, "m") is None


def test_ranks_of_a_search():
    documents = np.array([[1.0, 0], [0.9, 0.1], [0, 1], [0, 1]])
    queries = np.array([[1.0, 0.01], [0, 2], [0.2, 1], [0, 0]])
    found, tied = quality.ranks(queries, documents, [(1,), (2,), (2, 3), (0,)])
    assert found.tolist() == [2, 2, 1, 4]  # a twin of the right one counts before it; a zero vector finds nothing
    assert tied.tolist() == [False, True, False, True]


def test_a_search_loses_and_wins():
    eager = np.array([[1.0, 0], [0, 1], [1, 1], [1, 0], [0, 1], [0.7, 0.7]])  # three queries, their three documents
    other = eager.copy()
    other[0] = [0, 1]
    found = quality.of_search(other, eager, [(0,), (1,), (2,)])
    assert (found.value_eager, found.value) == (1, pytest.approx(2 / 3))
    assert (found.answers.lost, found.answers.won) == (1, 0)
    assert (found.mrr, found.mrr_eager) == (pytest.approx(7 / 9), 1)
    assert found.loss.low <= 1 / 3 <= found.loss.high
    assert quality.of_search(eager, eager, [(0,), (1,), (2,)]).loss.value == 0


def test_equal_logits_are_no_right_answer():
    logits = np.array([[1.0, 2, 0], [1, 1, 0], [np.nan, 0, 1], [np.nan, np.nan, np.nan]])
    found = quality.of_labels(logits, logits, np.array([1, 0, 2, 0]))
    assert (found.value, found.tied, found.items) == (0.5, 2, 4)


def test_first_of_equal_rows():
    from eagerbench.experiments.quality import first_of_equal

    assert first_of_equal([np.array(ids) for ids in ([5, 6], [7], [5, 6], [8], [7])]) == [0, 1, 0, 3, 1]
