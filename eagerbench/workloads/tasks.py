"""Workloads of task heads: inputs as their users make them, and the predictions that are read from the outputs."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.backends.base import Arrays
from eagerbench.outputs.predictions import Agreed, agreed, how_read, matrix
from eagerbench.workloads.base import Workload, another_build, head_unknown, too_long
from eagerbench.workloads.padded_batch import PaddedBatch, pad
from eagerbench.workloads.sentences import SENTENCES
from eagerbench.workloads.vocabulary import draw_ids, vocabulary

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

WIDTH, STRIDE, LONGEST_ANSWER = 384, 128, 30  # tokens; those of the SQuAD examples of BERT and transformers
CONTEXT_SENTENCES, CONTEXT_TOKENS, QUESTION_TOKENS = 64, 900, 12
_MASKED_SHARE = 0.15  # of the real tokens, as BERT was trained


class Task(Workload):
    """A batch for one kind of head: `task`, a key of HEADS.

    `rebuilds` says whether a variant whose build serves one shape is built anew for it.
    """

    task: str
    rebuilds: bool

    @abstractmethod
    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """The batch, as the model's named inputs."""

    @abstractmethod
    def real_tokens(self, model: "LoadedModel") -> int:
        """Tokens of the batch that are no padding; a model without a mask input has padding too."""

    @abstractmethod
    def agreed(self, model: "LoadedModel", got: Arrays, want: Arrays) -> Agreed:
        """How far what a user reads from outputs `got` is what is read from `want`."""

    def refuses(self, spec, variant, backend):
        if spec.task != self.task:
            return head_unknown(spec) or (f"{spec.name} has no head for a task: choose one, such as "
                                          "bert-base@head=question-answering")
        return too_long(spec, self.sequence_length) or another_build(backend, self.rebuilds)


@dataclass(frozen=True)
class Labelling(Task):
    """A padded batch whose texts (sequence-classification), tokens (token-classification) or masked tokens (masked-lm)
    get a label each."""

    task: str
    batch_size: int
    sequence_length: int
    seed: int = 0
    rebuilds: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        return self.task, f"b{self.batch_size}", f"s{self.sequence_length}"

    @property
    def facts(self):
        return {"task": self.task, "batch_size": self.batch_size, "sequence_length": self.sequence_length}

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """Those of a `PaddedBatch`; for a masked LM with 15 % of the tokens masked. Without a tokenizer the last id of
        the vocabulary stands for the mask."""
        inputs = self._batch.inputs(model)
        if self.task == "masked-lm":
            mask_id = getattr(model.tokenizer, "mask_token_id", None)
            inputs["input_ids"][self.masked] = vocabulary(model) - 1 if mask_id is None else mask_id
        return inputs

    @property
    def _batch(self) -> PaddedBatch:
        return PaddedBatch(self.batch_size, self.sequence_length, self.seed)

    def real_tokens(self, model):
        return int(self._batch.real.sum())

    @property
    def masked(self) -> np.ndarray:
        """Which tokens are masked, bool (batch_size, sequence_length): one a text at least, not its first or last."""
        real = self._batch.real
        rng = np.random.default_rng([self.seed, self.batch_size, self.sequence_length, 3])
        chosen = np.zeros(real.shape, bool)
        for row, length in zip(chosen, real.sum(1), strict=True):
            count = max(1, round(_MASKED_SHARE * length))
            row[rng.choice(np.arange(1, max(2, length - 1)), min(count, max(1, length - 2)), replace=False)] = True
        return chosen

    def agreed(self, model, got, want):
        """One label's scores by their ranking, several labels that may hold together by their signs."""
        how = how_read(want["logits"], getattr(model.config, "problem_type", None))
        return agreed(self.logits(got), self.logits(want), how)

    def logits(self, outputs: Arrays) -> np.ndarray:
        """Those of texts, real tokens or masked tokens, (predictions, labels)."""
        logits = outputs["logits"]
        if self.task == "token-classification":
            logits = logits[self._batch.real]
        elif self.task == "masked-lm":
            logits = logits[self.masked]
        return matrix(logits)


@dataclass(frozen=True)
class Window:
    """A question and a part of its context.

    Attributes:
        question: index of the question.
        ids: tokens, int64: question and context with their special tokens.
        context: places of the context's tokens in `ids`.
        start: index of the first of them in the whole context.
    """

    question: int
    ids: np.ndarray
    context: range
    start: int


@dataclass(frozen=True)
class Questions(Task):
    """Questions on contexts longer than the model takes at once: overlapping windows of 384 tokens, stride 128, all in
    one batch. As https://huggingface.co/docs/transformers/tasks/question_answering."""

    questions: int
    seed: int = 0
    task: str = "question-answering"
    sequence_length: int = WIDTH
    rebuilds: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        return self.task, f"q{self.questions}", f"s{self.sequence_length}"

    @property
    def facts(self):
        return {"task": self.task, "questions": self.questions, "sequence_length": self.sequence_length,
                "stride": STRIDE}

    def windows(self, model: "LoadedModel") -> list[Window]:
        """By the model's own tokenizer; without one the same windows of drawn ids."""
        rng = np.random.default_rng([self.seed, self.questions, 4])
        asked = [sentence for sentence in SENTENCES if sentence.endswith("?")]
        found: list[Window] = []
        for index in range(self.questions):
            if model.tokenizer is not None:
                context = " ".join(rng.choice(SENTENCES, CONTEXT_SENTENCES))
                found += tokenised_windows(model, asked[index % len(asked)], context, index)
            else:
                question, context = draw_ids(model, QUESTION_TOKENS, rng), draw_ids(model, CONTEXT_TOKENS, rng)
                found += drawn_windows(question, context, index)
        return found

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """int64 arrays of shape (windows, 384); where there are token types, the context's is 1."""
        windows = self.windows(model)
        inputs = pad([window.ids for window in windows], model, self.sequence_length)
        if "token_type_ids" in inputs:
            for row, window in zip(inputs["token_type_ids"], windows, strict=True):
                row[window.context.start:len(window.ids)] = 1
        return inputs

    def real_tokens(self, model):
        return sum(len(window.ids) for window in self.windows(model))

    def agreed(self, model, got, want):
        spans, eagers = self.answers(model, got), self.answers(model, want)
        return Agreed("span", len(eagers), float(np.mean((spans == eagers).all(1))))

    def answers(self, model: "LoadedModel", outputs: Arrays) -> np.ndarray:
        """For each question the first and last token of its answer, counted in the whole context."""
        return best_spans(self.windows(model), outputs["start_logits"], outputs["end_logits"])


def tokenised_windows(model: "LoadedModel", question: str, context: str, index: int = 0) -> list[Window]:
    encoded = model.tokenizer(question, context, truncation="only_second", max_length=WIDTH, stride=STRIDE,
                              return_overflowing_tokens=True)
    windows, start = [], 0
    for number, ids in enumerate(encoded["input_ids"]):
        places = [place for place, part in enumerate(encoded.sequence_ids(number)) if part == 1]
        windows.append(Window(index, np.asarray(ids, np.int64), range(places[0], places[-1] + 1), start))
        start += len(places) - STRIDE
    return windows


def drawn_windows(question: np.ndarray, context: np.ndarray, index: int = 0, first: int = 1, separator: int = 2,
                  ) -> list[Window]:
    """Cut as tokenizers of the BERT kind do: `first` question `separator` context `separator`."""
    room = WIDTH - len(question) - 3
    windows, start = [], 0
    while not windows or windows[-1].start + len(windows[-1].context) < len(context):
        part = context[start:start + room]
        ids = np.concatenate([[first], question, [separator], part, [separator]]).astype(np.int64)
        windows.append(Window(index, ids, range(len(question) + 2, len(question) + 2 + len(part)), start))
        start += room - STRIDE
    return windows


def best_spans(windows: Sequence[Window], starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The span with the largest sum of logits over all windows of a question, at most LONGEST_ANSWER tokens long.

    Args:
        starts, ends: logits, float (windows, 384).

    Returns:
        First and last token in the whole context, int64 (questions, 2).
    """
    best: dict[int, tuple[float, int, int]] = {}
    for window, start, end in zip(windows, starts, ends, strict=True):
        places = slice(window.context.start, window.context.stop)
        scores = start[places, None] + end[None, places]
        allowed = np.tril(np.triu(np.ones(scores.shape, bool)), LONGEST_ANSWER - 1)
        first, last = np.unravel_index(np.where(allowed, scores, -np.inf).argmax(), scores.shape)
        found = (float(scores[first, last]), window.start + int(first), window.start + int(last))
        if window.question not in best or found[0] > best[window.question][0]:
            best[window.question] = found
    return np.array([best[question][1:] for question in sorted(best)], np.int64)
