"""Sentences in batches: what they must give, and judging what a variant gave, sentence by sentence."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.backends.base import Arrays, Runner
from eagerbench.errors import CannotRun, first_line
from eagerbench.outputs.places import per_token
from eagerbench.outputs.predictions import SENTENCE_EMBEDDING
from eagerbench.outputs.tolerance import Comparison, Scale, compare
from eagerbench.workloads.batching import Batches, by_length, restored
from eagerbench.workloads.padded_batch import PaddedBatch, length_limit, pad
from eagerbench.workloads.vocabulary import draw_ids

if TYPE_CHECKING:
    from eagerbench.measuring.reference import Reference
    from eagerbench.models.loading import LoadedModel

Embed = Callable[[np.ndarray], np.ndarray]
Once = Callable[[Hashable, Callable[[], Any]], Any]

_REFERENCE_BATCH = 32
_TRIED_LENGTHS = (5, 16, 9)  # of the rows by which `depend_on_batch` finds out
_MOST_BYTES = 2 * 2**30  # of the reference's outputs, float32 and float64 together


@dataclass(frozen=True)
class SentencesExpected:
    """What sentences must give, whatever batches they are in.

    Attributes:
        rows: ids of each sentence.
        outputs, double: eager's in float32 and float64, as `of_sentences` returns them.
        embed: what makes an embedding of a sentence's states.
        scales: of outputs with few values (`Reference.scales`).
        same_batches: whether they are those of the very batches that are judged, since rows depend on theirs.
    """

    rows: Sequence[np.ndarray]
    outputs: dict[str, np.ndarray]
    double: dict[str, np.ndarray]
    embed: Embed
    scales: dict[str, Scale]
    problem_type: str | None = None
    same_batches: bool = False

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.rows]


def expected_once(once: Once, key: Hashable, rows: Sequence[np.ndarray], batches: Batches, model: "LoadedModel",
                  reference: "Reference", kind: type["Pass"] | None = None) -> SentencesExpected:
    """`expected_of` rows, made once for all batches and variants; where rows depend on their batch, once for `batches`.

    Args:
        once: keeps what was made, as `Run.once` does.
        key: of the rows, among all that a model gets.
        kind: of the pass that is judged.
    """
    depend = once("rows depend on their batch", lambda: depend_on_batch(model))
    of = (tuple(map(tuple, batches)), kind) if depend else ()
    return once((key, of), lambda: expected_of(rows, model, reference, batches if depend else None, kind or Pass))


def expected_of(rows: Sequence[np.ndarray], model: "LoadedModel", reference: "Reference",
                batches: Batches | None = None, kind: type["Pass"] | None = None) -> SentencesExpected:
    """What eager gives for sentences: sorted by length, once for all policies, or in the batches of a pass.

    Raises:
        CannotRun: the reference fails, its outputs would fill the memory, or depend on what it was called with before;
            or none of them has a row a sentence.
    """
    lengths = [len(row) for row in rows]
    _refuse_too_large(rows, model, reference)
    made, kind = batches or by_length(lengths, _REFERENCE_BATCH), kind if batches and kind else Pass
    singles, doubles = [], []
    for expected in reference.compute_all(kind.shaped(rows, made, model), count=False):
        singles.append(expected.outputs)
        doubles.append(expected.double)
    refuse_order(rows, model, reference)
    embed = embedding(model)
    single, double = (of_sentences(kind.cut(outputs, made, lengths), made, lengths, embed)
                      for outputs in (singles, doubles))
    if not single:
        raise CannotRun(f"no output of {type(model.module).__name__} has a row a sentence: "
                        f"{', '.join(f'{name} {array.shape}' for name, array in singles[0].items())}")
    scales = reference.scales(PaddedBatch(1, max(lengths)), single)
    return SentencesExpected(rows, single, double, embed, scales, reference.problem_type, batches is not None)


def embedding(model: "LoadedModel") -> Embed:
    """The model's own pooling and what follows it (`models.sentence`)."""
    skipped = model.sentence.prompt_tokens(model.tokenizer) if model.tokenizer is not None else 0
    return lambda states: model.sentence.embed(states, skipped)


def refuse_order(rows: Sequence[np.ndarray], model: "LoadedModel", reference: "Reference") -> None:
    """
    Raises:
        CannotRun: of a model that remembers: its outputs on the longest row are others once it has had the shortest, or
            the other way round.
    """
    if not reference.remembers:
        return
    long, short = (next(padded([row], [[0]], model)) for row in (max(rows, key=len), min(rows, key=len)))
    if reference.depends_on_order(long, short) or reference.depends_on_order(short, long):
        raise CannotRun(f"{type(model.module).__name__} gives other outputs after an input of another length (calls "
                        f"change {', '.join(reference.remembers[:3])}): several lengths have no one right output")


def depend_on_batch(model: "LoadedModel") -> bool:
    """Whether what eager gives for a row depends on the rows and the padding beside it: rows of three lengths, alone
    and together. So it is without a mask, where padding is averaged with the rest, and with statistics over a batch.

    Raises:
        CannotRun: the model fails.
    """
    from eagerbench.backends.torch_runner import TorchRunner

    rng = np.random.default_rng(0)
    rows = [draw_ids(model, min(length, length_limit(model)), rng) for length in _TRIED_LENGTHS]
    lengths, places = [len(row) for row in rows], list(range(len(rows)))
    runner = TorchRunner(model.fresh(), model.device)  # what a call leaves in a module is not left in the reference
    try:
        together, alone = (of_sentences(Pass(runner, rows, batches, model)(), batches, lengths)
                           for batches in ([places], [[place] for place in places]))
    except Exception as error:
        raise CannotRun(f"the reference fails: {first_line(error)}") from error
    together = {name: array for name, array in together.items() if name in alone}
    return bool(together and compare(alone, together, None, None, "exact-math", pretrained=False).failures)


def padded(rows: Sequence[np.ndarray], batches: Batches, model: "LoadedModel") -> Iterator[Arrays]:
    """The model's inputs for each batch, padded on the right to its longest row."""
    for batch in batches:
        members = [rows[index] for index in batch]
        yield pad(members, model, max(map(len, members)))


class Pass:
    """One pass of a runner over batches: a call returns each batch's outputs as numpy arrays, which is what a
    user keeps of it (some runtimes overwrite theirs in the next call)."""

    def __init__(self, runner: Runner, rows: Sequence[np.ndarray], batches: Batches, model: "LoadedModel"):
        self.first_inputs = next(self.shaped(rows, batches, model))
        self._runner = runner
        self._natives = [runner.prepare(inputs) for inputs in self.shaped(rows, batches, model)]

    def __call__(self) -> list[dict[str, np.ndarray]]:
        return [self._runner.arrays(self._runner(native)) for native in self._natives]

    def first_call(self) -> Any:
        return self._runner(self._natives[0])

    @staticmethod
    def shaped(rows: Sequence[np.ndarray], batches: Batches, model: "LoadedModel") -> Iterator[Arrays]:
        """The model's inputs for each batch."""
        return padded(rows, batches, model)

    @staticmethod
    def cut(outputs: Sequence[Arrays], batches: Batches, lengths: Sequence[int]) -> Sequence[Arrays]:
        """Outputs as batches padded to their longest row give them."""
        return outputs


def of_sentences(outputs: Sequence[Arrays], batches: Batches, lengths: Sequence[int],
                 embed: Embed = lambda states: states.mean(0)) -> dict[str, np.ndarray]:
    """Outputs of batches as one array a name, in the order of the sentences and without padding.

    An output with one entry a token becomes (real tokens, …), any other (sentences, …). States get each sentence's
    `sentence_embedding` beside them, which `embed` makes of its states (tokens, hidden size). An output without a row a
    sentence, or whose rows have more axes as long as the batch is wide, is left out.
    """
    found = {}
    for name in outputs[0]:
        if any(len(of_batch[name].shape[:1]) == 0 or len(of_batch[name]) != len(batch)
               for batch, of_batch in zip(batches, outputs, strict=True)):
            continue
        rows = []
        for batch, of_batch in zip(batches, outputs, strict=True):
            widest = max(lengths[index] for index in batch)
            cut = per_token(name, of_batch[name], (len(batch), widest))
            rows.append([row[:lengths[index]] if cut else row[None]
                         for index, row in zip(batch, of_batch[name], strict=True)])
        of_each = restored(batches, rows)
        if len({row.shape[1:] for row in of_each}) > 1:
            continue
        found[name] = np.concatenate(of_each)
        if name == "last_hidden_state":
            found[SENTENCE_EMBEDDING] = np.stack([embed(states) for states in of_each])
    return found


def judge(outputs: Sequence[Arrays], batches: Batches, expected: SentencesExpected, tolerance: str,
          pretrained: bool) -> Comparison:
    """Outputs of batches against the reference's, sentence by sentence, by a tolerance class."""
    got = of_sentences(outputs, batches, expected.lengths, expected.embed)
    return compare(got, expected.outputs, expected.double, None, tolerance, pretrained, expected.problem_type,
                   expected.scales)


def _refuse_too_large(rows: Sequence[np.ndarray], model: "LoadedModel", reference: "Reference") -> None:
    """By what the shortest row gives, before any large batch has taken the memory."""
    shortest, tokens = min(rows, key=len), sum(map(len, rows))
    inputs = next(padded([shortest], [[0]], model))
    size = 0
    for name, array in reference.outputs(inputs).items():
        share = tokens / len(shortest) if per_token(name, array, (1, len(shortest))) else len(rows)
        size += 3 * array.nbytes * share  # in float32 and in float64
    if size > _MOST_BYTES:
        raise CannotRun(f"the reference's outputs on {tokens} tokens would take {size / 2**30:.1f} GiB; choose fewer "
                        "with --sentences, or a shorter file")
