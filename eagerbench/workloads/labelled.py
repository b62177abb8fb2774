"""Texts with what is right of them, from files of the user's: queries with their documents, and texts with labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.errors import BadInput
from eagerbench.models.catalog import task_of
from eagerbench.workloads.corpus import Corpus
from eagerbench.workloads.tab_lines import TabFile

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

RETRIEVAL, LABELS = "--retrieval", "--labels"


@dataclass(frozen=True)
class Retrieval:
    """Queries and documents, each different one once, and the documents that answer each query.

    Attributes:
        relevant: indices of documents, for each query.
        lines: of the file, without those that were left out.
        without_text: lines without a query or without a document, which were left out.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    relevant: tuple[tuple[int, ...], ...]
    lines: int
    without_text: int


@dataclass(frozen=True)
class Labelled:
    """Texts, each with its label as the file writes it, and the numbers of their lines."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    numbers: tuple[int, ...]
    without_text: int


@dataclass(frozen=True)
class RetrievalTexts(Corpus):
    """The queries of a file, then its documents; `sentences` counts both."""

    @property
    def name(self) -> str:
        return f"retrieval-{self.stem}-n{len(self.read.queries)}"

    @property
    def read(self) -> Retrieval:
        return read_retrieval(self.file)

    @property
    def texts(self):
        return self.read.queries + self.read.documents

    @property
    def blank_lines(self) -> int:
        return self.read.without_text

    def prepared(self, model):
        """Queries and documents as their own prompts want them, where the model has such."""
        sentence = model.sentence
        return [*(sentence.prepared(text, "query") for text in self.read.queries),
                *(sentence.prepared(text, "document") for text in self.read.documents)]


@dataclass(frozen=True)
class LabelledTexts(Corpus):
    """The texts of a file, in its order."""

    @property
    def name(self) -> str:
        return f"labels-{self.stem}-n{self.sentences}"

    @property
    def read(self) -> Labelled:
        return read_labels(self.file)

    @property
    def texts(self):
        return self.read.texts

    @property
    def blank_lines(self) -> int:
        return self.read.without_text

    def right(self, names: Mapping[int, str]) -> np.ndarray:
        """The index of each text's label among those of a model, int64 (texts,)."""
        return indices(self.file, names)


@cache
def read_retrieval(file: str) -> Retrieval:
    """Read lines of `query TAB document`: the document answers the query. A first line that ends in the word `document`
    is a heading; a query may have several lines.

    Raises:
        BadInput: missing, not text, a line that is no such pair, or fewer than two different documents.
    """
    source = TabFile(RETRIEVAL, file, ("query", "document"))
    lines = source.lines()
    pairs = [line.parts for line in lines if all(line.parts)]
    if not pairs:
        raise source.refuse(f"no query with a document in it; put one on each line: {source.shape}")
    queries = {query: index for index, query in enumerate(dict.fromkeys(query for query, _ in pairs))}
    documents = {text: index for index, text in enumerate(dict.fromkeys(text for _, text in pairs))}
    if len(documents) < 2:
        raise source.refuse("all of its queries have the same document; a search needs others that can be wrong")
    relevant: list[list[int]] = [[] for _ in queries]
    for query, document in dict.fromkeys(pairs):
        relevant[queries[query]].append(documents[document])
    return Retrieval(tuple(queries), tuple(documents), tuple(map(tuple, relevant)), len(pairs), len(lines) - len(pairs))


@cache
def read_labels(file: str) -> Labelled:
    """Read lines of `text TAB label`. A first line whose label is the word `label` is a heading.

    Raises:
        BadInput: missing, not text, a line that is no such pair or has no label, or no text at all.
    """
    source = TabFile(LABELS, file, ("text", "label"))
    lines = source.lines()
    bare = next((line for line in lines if not line.parts[1]), None)
    if bare is not None:
        raise source.refuse(f"has no label; write {source.shape}", bare.number)
    kept = [line for line in lines if line.parts[0]]
    if not kept:
        raise source.refuse(f"no text with a label in it; put one on each line: {source.shape}")
    texts, labels = zip(*(line.parts for line in kept), strict=True)
    return Labelled(texts, labels, tuple(line.number for line in kept), len(lines) - len(kept))


@cache
def _indices(file: str, names: tuple[tuple[int, str], ...]) -> np.ndarray:
    by_name = {name: index for index, name in names}
    lowered: dict[str, list[int]] = {}
    for index, name in names:
        lowered.setdefault(name.lower(), []).append(index)
    found, read = [], read_labels(file)
    for number, label in zip(read.numbers, read.labels, strict=True):
        alike = lowered.get(label.lower(), [])
        if label in by_name:
            found.append(by_name[label])
        elif len(alike) == 1:
            found.append(alike[0])
        elif label.isdecimal() and int(label) in dict(names):
            found.append(int(label))
        else:
            known = ", ".join(f"{index} {name}" for index, name in names[:20])
            more = f" and {len(names) - 20} more" if len(names) > 20 else ""
            raise BadInput(f"{LABELS} {file}: line {number} has the label {label!r}, which the model does not have; "
                           f"write one of its own by name or number: {known}{more}")
    return np.asarray(found, np.int64)


def indices(file: str, names: Mapping[int, str]) -> np.ndarray:
    """The index of each line's label in a model's `id2label`: by its name, by its name in another case where only one
    is alike, or by its number; int64 (texts,).

    Raises:
        BadInput: a label that the model has not.
    """
    return _indices(file, tuple(sorted(names.items())))


def label_names(config: Mapping) -> dict[int, str]:
    """`id2label` of a config as JSON or of a loaded one; without it `LABEL_0`, … as transformers names them.

    Raises:
        BadInput: it is no mapping of numbers to names.
    """
    named = config.get("id2label")
    if not named:
        return {index: f"LABEL_{index}" for index in range(config.get("num_labels") or 2)}
    try:
        return {int(index): str(name) for index, name in named.items()}
    except (AttributeError, TypeError, ValueError):
        raise BadInput("config.json: id2label is no mapping of numbers to names; save the model again") from None


def no_labels(config: Mapping, name: str) -> str | None:
    """Why the labels of a classifier cannot be counted as right or wrong; None where they can."""
    kind = config.get("problem_type")
    if kind in ("regression", "multi_label_classification"):
        return f"{name} is for {kind.replace('_', ' ')}: no label of its is the right one"
    if len(label_names(config)) < 2:
        return f"{name} has one label: it gives a score, and tells no texts apart"
    return None


def unusable(model: "LoadedModel", option: str, file: str) -> str | None:
    """Why a loaded model cannot be asked by a file of `--retrieval` or `--labels`; None where it can.

    Raises:
        BadInput: a label that the model has not.
    """
    name, kind = model.spec.name, type(model.module).__name__
    if model.tokenizer is None:
        return f"{name} has no tokenizer: it cannot read a text"
    if option == RETRIEVAL:
        return f"{kind} has a head: its texts have no embedding; take an embedding model" if task_of(kind) else None
    if not kind.endswith("ForSequenceClassification"):
        return f"{name} is a {kind}, no sequence classifier"
    config = model.config.to_dict()
    if (reason := no_labels(config, name)) is None:
        indices(file, label_names(config))
    return reason
