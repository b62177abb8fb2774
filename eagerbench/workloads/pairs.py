"""Labelled pairs of sentences, from a file of the user's."""

import contextlib
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from eagerbench.errors import BadInput
from eagerbench.outputs.predictions import AGREEMENT_ROWS
from eagerbench.workloads.corpus import Corpus

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
        raise BadInput(f"--eval {file}: {len(triples)} pairs in it; at least {LEAST_PAIRS} are needed")
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
