"""Labelled pairs of sentences, from a file of the user's."""

import contextlib
import math
from dataclasses import dataclass
from functools import cache

from eagerbench.outputs.predictions import AGREEMENT_ROWS
from eagerbench.shown import count
from eagerbench.workloads.corpus import Corpus
from eagerbench.workloads.tab_lines import Line, TabFile

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


@cache
def read_pairs(file: str) -> Pairs:
    """Read lines of `sentence1 TAB sentence2 TAB score`; a first line whose score is the word `score` is a heading.

    Raises:
        BadInput: missing, not text, a line that is no such triple, too few pairs, or the same score everywhere.
    """
    source = TabFile("--eval", file, ("sentence1", "sentence2", "score"))
    triples = [_triple(source, line) for line in source.lines()]
    if len(triples) < LEAST_PAIRS:
        raise source.refuse(f"{count(len(triples), 'pair')} in it; at least {LEAST_PAIRS} are needed")
    first, second, scores = zip(*triples, strict=True)
    if len(set(scores)) == 1:
        raise source.refuse(f"every score is {scores[0]:g}; a correlation needs different ones")
    return Pairs(first, second, scores)


def _triple(source: TabFile, line: Line) -> tuple[str, str, float]:
    first, second, score = line.parts
    with contextlib.suppress(ValueError):  # no number: refused below like a blank one
        if first and second and math.isfinite(float(score)):
            return first, second, float(score)
    raise source.refuse(f"is not {source.shape} (a number)", line.number)
