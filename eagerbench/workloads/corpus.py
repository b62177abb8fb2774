"""A corpus: sentences of skewed length, generated or of a file, and what a model's tokenizer makes of them."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.errors import BadInput, CannotRun
from eagerbench.workloads.padded_batch import length_limit, tokenise
from eagerbench.workloads.sentences import SENTENCES
from eagerbench.workloads.vocabulary import draw_ids

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

MEDIAN_WORDS, SIGMA, MOST_WORDS = 12, 0.6, 200
_SPECIAL_TOKENS = 2  # that a tokenizer would put around a sentence


@dataclass(frozen=True)
class Text:
    """Sentences of a file: its lines without surrounding blanks, and how many blank ones were skipped."""

    sentences: tuple[str, ...]
    blank_lines: int


@dataclass(frozen=True)
class Tokenised:
    """A corpus as a model takes it: a row of ids (int64) a sentence, and how many were cut at `limit` tokens."""

    rows: tuple[np.ndarray, ...]
    truncated: int
    limit: int

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.rows]

    @property
    def sha256(self) -> str:
        """Over all ids: equal for equal inputs."""
        digest = hashlib.sha256()
        for row in self.rows:
            digest.update(row.tobytes() + b"\n")
        return digest.hexdigest()


@dataclass(frozen=True)
class Corpus:
    """The first `sentences` lines of a file, or as many generated ones.

    Generated sentences have a lognormal number of words (median 12, sigma 0.6, so 14 on average, one in twenty above
    32; at most 200), cut from a chain of the project's own sentences. A model with a tokenizer reads them by it, any
    other one gets uniformly drawn ids, one a word and two more.
    """

    sentences: int
    seed: int = 0
    file: str | None = None

    @property
    def name(self) -> str:
        """`n64` of generated sentences; `reviews-n64` of a file's, its name as ids can show it."""
        return f"n{self.sentences}" if self.file is None else f"{self.stem}-n{self.sentences}"

    @property
    def stem(self) -> str:
        """The file's name as ids can show it."""
        return re.sub(r"[^a-z0-9.]+", "-", Path(self.file).stem.lower()).strip("-.") or "file"

    @property
    def texts(self) -> tuple[str, ...]:
        if self.file is None:
            return _generated(self.sentences, self.seed)
        return read(self.file).sentences[:self.sentences]

    @property
    def blank_lines(self) -> int:
        return 0 if self.file is None else read(self.file).blank_lines

    def prepared(self, model: "LoadedModel") -> list[str]:
        """Texts as they go to the tokenizer."""
        return [model.sentence.prepared(text) for text in self.texts]

    def facts(self, found: Tokenised) -> dict[str, int | str]:
        """What records say of the sentences, by the names of their fields."""
        return {"sentences": self.sentences, "blank_lines": self.blank_lines, "truncated_sentences": found.truncated,
                "token_limit": found.limit, "longest_sentence": max(found.lengths), "corpus_sha256": found.sha256}

    def tokenised(self, model: "LoadedModel") -> Tokenised:
        """Rows of the model's own ids, of texts as its sentence-transformers files prepare them, if it has any.

        Raises:
            CannotRun: the model takes no token ids, or none of a text.
        """
        if "input_ids" not in model.input_names:
            raise CannotRun(f"{type(model.module).__name__}.forward has no parameter input_ids: it has no sentences to "
                            "read")
        limit = length_limit(model)
        if model.tokenizer is not None:
            texts = self.prepared(model)
            rows = [tokenise(model, text, limit + 1) for text in texts]
            cut = [index for index, row in enumerate(rows) if len(row) > limit]
            for index in cut:
                rows[index] = tokenise(model, texts[index], limit)
            bare = next((text for text, row in zip(self.texts, rows, strict=True) if not len(row)), None)
            if bare is not None:
                raise CannotRun(f"the tokenizer makes no token of the sentence {bare[:40]!r}: take it out")
            return Tokenised(tuple(rows), len(cut), limit)
        if self.file is not None:
            raise CannotRun(f"{model.spec.name} has no tokenizer: it cannot read a text")
        lengths = _words(self.sentences, self.seed) + _SPECIAL_TOKENS
        rng = np.random.default_rng([self.seed, self.sentences, 1])
        rows = tuple(draw_ids(model, min(int(length), limit), rng) for length in lengths)
        return Tokenised(rows, int((lengths > limit).sum()), limit)


def chosen(selection: "Selection", generated: int, most: int | None = None) -> Corpus:
    """The file that `--corpus` names, or a generated corpus; `--sentences` says how many sentences.

    Args:
        generated, most: how many without it: generated ones, and of a file (None: all).

    Raises:
        BadInput: of the file, as `read` says.
    """
    if selection.corpus is None:
        return Corpus(selection.sentences or generated, selection.seed)
    lines = len(read(selection.corpus).sentences)
    return Corpus(min(lines, selection.sentences or most or lines), 0, selection.corpus)


@cache
def read(file: str) -> Text:
    """Read a file of one sentence a line.

    Raises:
        BadInput: missing, not UTF-8, or without a sentence.
    """
    try:
        lines = Path(file).read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"--corpus {file}: {error.strerror or error}; name a text file, one sentence a line") from None
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8").strip())
        except UnicodeDecodeError:
            raise BadInput(f"--corpus {file}: line {number} is not UTF-8; convert the file, for example with "
                           "iconv -t UTF-8") from None
    sentences = tuple(text for text in texts if text)
    if not sentences:
        raise BadInput(f"--corpus {file}: no sentence in it ({len(lines)} blank lines); put one on each line")
    return Text(sentences, len(lines) - len(sentences))


def _words(sentences: int, seed: int) -> np.ndarray:
    """Words of each sentence, int64 of shape (sentences,)."""
    rng = np.random.default_rng([seed, sentences])
    return np.clip(np.rint(rng.lognormal(np.log(MEDIAN_WORDS), SIGMA, sentences)), 1, MOST_WORDS).astype(np.int64)


@cache
def _generated(sentences: int, seed: int) -> tuple[str, ...]:
    rng = np.random.default_rng([seed, sentences, 2])
    return tuple(_sentence(int(words), rng) for words in _words(sentences, seed))


def _sentence(words: int, rng: np.random.Generator) -> str:
    chain: list[str] = []
    while len(chain) < words:
        chain += str(rng.choice(SENTENCES)).split()
    return " ".join(chain[:words]).rstrip(".,?") + "."
