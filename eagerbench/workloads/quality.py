"""Workload: sentences to embed, generated ones or labelled pairs of the user's."""

import contextlib
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.errors import BadInput
from eagerbench.models.specs import ModelSpec
from eagerbench.outputs.predictions import AGREEMENT_ROWS
from eagerbench.shown import count
from eagerbench.workloads.base import Workload, another_build, text_only
from eagerbench.workloads.batching import Batches, by_length
from eagerbench.workloads.corpus import Corpus, read
from eagerbench.workloads.padded_batch import pad

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

BATCH_SIZE = 16
SENTENCES = {"smoke": 32, "default": 96, "full": 1000}
LEAST_PAIRS = AGREEMENT_ROWS // 2  # two sentences each


@dataclass(frozen=True)
class Pairs:
    """Pairs of sentences with a score of their similarity, in any unit."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class EvalPairs(Corpus):
    """Both sentences of every pair in a file: all first ones, then all second ones."""

    @property
    def texts(self):
        pairs = read_pairs(self.file)
        return pairs.first + pairs.second

    @property
    def blank_lines(self) -> int:
        return 0

    @property
    def scores(self) -> tuple[float, ...]:
        return read_pairs(self.file).scores


@dataclass(frozen=True)
class Embeddings(Workload):
    """Sentences, one embedding each, in batches of BATCH_SIZE sorted by length.

    Attributes:
        rebuilds: whether a variant whose build serves one shape is built anew for it.
    """

    corpus: Corpus
    rebuilds: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.corpus.name,)

    @property
    def facts(self):
        return {"sentences": self.corpus.sentences, "batch_size": BATCH_SIZE}

    def refuses(self, spec, variant, backend):
        if spec.kind == "catalog":
            return f"{spec.name} has random weights: their quality means nothing; take a trained model"
        if spec.kind == "factory":
            return (f"whether the weights of {spec.name} are trained cannot be seen: save_pretrained() it and name the "
                    "directory")
        if self.corpus.sentences < AGREEMENT_ROWS:
            sentences = count(self.corpus.sentences, "sentence")
            return f"{sentences}: at least {AGREEMENT_ROWS} are needed to have neighbours"
        return text_only(spec) or another_build(backend, self.rebuilds)

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """The first batch, as wide as the longest sentence: the one shape of a build that serves one only."""
        rows = self.corpus.tokenised(model).rows
        return next(one_shape(rows, by_length([len(row) for row in rows], BATCH_SIZE), model))


def one_shape(rows, batches: Batches, model: "LoadedModel"):
    """The model's inputs for each batch, all of one shape: padded to the longest row of all, short batches filled up
    with their last row."""
    longest = max(map(len, rows))
    for batch in batches:
        filled = [*batch, *[batch[-1]] * (BATCH_SIZE - len(batch))]
        yield pad([rows[index] for index in filled], model, longest)


def embeddings(spec: ModelSpec, selection: "Selection") -> list[Embeddings]:
    """Generated sentences, or the first ones that `--corpus` names, and the pairs that `--eval` names."""
    count = selection.sentences or SENTENCES[selection.grid]
    rebuilds = selection.grid == "full"
    if selection.corpus is None:
        works = [Embeddings(Corpus(count, selection.seed), rebuilds)]
    else:
        lines = len(read(selection.corpus).sentences)
        works = [Embeddings(Corpus(min(lines, count), 0, selection.corpus), rebuilds)]
    if selection.eval is not None:
        pairs = EvalPairs(2 * len(read_pairs(selection.eval).scores), 0, selection.eval)
        works.append(Embeddings(pairs, rebuilds))
    return works


@cache
def read_pairs(file: str) -> Pairs:
    """Read lines of `sentence1 TAB sentence2 TAB score`; a first line whose score is the word `score` is a heading.

    Raises:
        BadInput: missing, not UTF-8, a line that is no such triple, too few pairs, or the same score everywhere.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"--eval {file}: is not UTF-8; convert the file, for example with iconv -t UTF-8") from None
    except OSError as error:
        raise BadInput(f"--eval {file}: {error.strerror or error}; name a file of lines "
                       "sentence1 TAB sentence2 TAB score") from None
    lines = text.split("\n")  # splitlines() would cut sentences at U+2028, form feeds and others too
    triples = [_triple(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    triples = [triple for triple in triples if triple is not None]
    if len(triples) < LEAST_PAIRS:
        raise BadInput(f"--eval {file}: {count(len(triples), 'pair')} in it; at least {LEAST_PAIRS} are needed")
    first, second, scores = zip(*triples, strict=True)
    if len(set(scores)) == 1:
        raise BadInput(f"--eval {file}: every score is {scores[0]:g}; a correlation needs different ones")
    return Pairs(first, second, scores)


def _triple(file: str, number: int, line: str) -> tuple[str, str, float] | None:
    """The pair and its score; None for a heading."""
    parts = [part.strip() for part in line.split("\t")]
    if len(parts) == 3 and number == 1 and parts[2].lower() == "score":
        return None
    with contextlib.suppress(ValueError):  # not three parts, or no number: refused below like a blank one
        first, second, score = parts
        if first and second and math.isfinite(float(score)):
            return first, second, float(score)
    raise BadInput(f"--eval {file}: line {number} is not sentence1 TAB sentence2 TAB score (a number)")
