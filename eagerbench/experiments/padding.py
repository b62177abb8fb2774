"""Padding: what it costs a variant when one long text pads the others, in turns with as many equal rows of the same
tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from eagerbench.errors import CannotRun
from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.measuring import recording, sentences
from eagerbench.measuring.gpu_observer import observer
from eagerbench.measuring.pass_run import PassRun
from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid, interval
from eagerbench.results.numbers import times
from eagerbench.results.record import Count, InTurns, Part, Positive, Record
from eagerbench.statistics import says_nothing
from eagerbench.workloads.base import Workload, one_shape_only, text_only, too_long
from eagerbench.workloads.batching import Batches, padded_tokens
from eagerbench.workloads.padded_batch import tokenise
from eagerbench.workloads.sentences import SENTENCES
from eagerbench.workloads.vocabulary import draw_ids

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing
    from eagerbench.measuring.turns import Call
    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

# Rows, the length of the long one, and (percent of padding, layout).
GRIDS = {
    "smoke": (4, 32, ((50, "one-batch"),)),
    "default": (8, 64, ((75, "one-batch"),)),
    "full": (16, 128, tuple((percent, layout) for percent in (0, 25, 50, 75, 90)
                            for layout in ("one-batch", "bucketed") if percent or layout == "one-batch")),
}


@dataclass(frozen=True)
class PaddingPair(Workload):
    """`batch_size` rows, the first of `sequence_length` tokens, the others so short that `percent` of the batch is
    padding; beside it as many rows of one length with the same tokens.

    Attributes:
        layout: `one-batch` pads all to the longest; `bucketed` makes the long row a batch of its own.
    """

    batch_size: int
    sequence_length: int
    percent: int
    layout: str
    seed: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", f"s{self.sequence_length}", f"p{self.percent}", self.layout

    def refuses(self, spec, variant, backend):
        return text_only(spec) or too_long(spec, self.sequence_length) or one_shape_only(backend)

    @property
    def equal_length(self) -> int:
        """Of the rows without padding; their tokens are those of the padded rows."""
        return max(round(self.sequence_length * (1 - self.percent / 100)), 1)

    @property
    def lengths(self) -> list[int]:
        """Of the padded rows: the long one, and the other tokens shared out evenly among the others."""
        others = self.batch_size - 1
        rest = self.batch_size * self.equal_length - self.sequence_length
        if rest < others:
            raise ValueError(f"{self.percent} % of padding needs more than {self.batch_size} rows")
        return [self.sequence_length, *(rest // others + (index < rest % others) for index in range(others))]

    @property
    def batches(self) -> Batches:
        """Indices of the padded rows."""
        rows = list(range(self.batch_size))
        return [rows] if self.layout == "one-batch" else [rows[:1], rows[1:]]

    def rows(self, model: "LoadedModel") -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Rows of equal length, and the padded ones: int64 ids of one stream of tokens, cut in two ways.

        Raises:
            CannotRun: the model takes no token ids.
        """
        if "input_ids" not in model.input_names:
            raise CannotRun(f"{type(model.module).__name__}.forward has no parameter input_ids: its rows have no "
                            "length")
        stream = self._stream(model, self.batch_size * self.equal_length)
        equal = np.split(stream, self.batch_size)
        return equal, np.split(stream, np.cumsum(self.lengths)[:-1])

    def _stream(self, model: "LoadedModel", tokens: int) -> np.ndarray:
        """Ids of text without special tokens, or drawn ones."""
        rng = np.random.default_rng([self.seed, tokens])
        if model.tokenizer is None:
            return draw_ids(model, tokens, rng)
        special = model.tokenizer.all_special_ids
        found: list[int] = []
        while len(found) < tokens:
            ids = [i for i in tokenise(model, str(rng.choice(SENTENCES)), self.sequence_length) if i not in special]
            if not ids:
                raise CannotRun("the tokenizer makes no tokens of English text")
            found += ids
        return np.asarray(found[:tokens], np.int64)


def workloads(spec: ModelSpec, selection: "Selection") -> list[PaddingPair]:
    """Each share of padding of the grid, in each layout."""
    rows, length, points = GRIDS[selection.grid]
    return [PaddingPair(rows, length, percent, layout, selection.seed) for percent, layout in points]


class PaddedRows(Part, kw_only=True):
    """`batch_size` rows, the longest of `sequence_length` tokens."""

    batch_size: Count
    sequence_length: Count
    layout: Literal["one-batch", "bucketed"]


class Result(Part, kw_only=True):
    """`padding_cost`: times the equal rows' time, with its 95 % interval. `padding_share`: of one batch of all rows;
    `padded_tokens`: of the batches that are computed."""

    padding_cost: Positive
    padding_cost_low: Positive | None
    padding_cost_high: Positive | None
    padding_share: Annotated[float, Meta(ge=0, lt=1)]
    real_tokens: Count
    padded_tokens: Count
    tokens_per_s: Positive


PaddingRecord = Record[PaddedRows, InTurns, Result]


class PaddingRun(PassRun):
    """Both sides are calls of this variant: `rows` that one pads, and `equal_rows` in one batch."""

    def prepare(self) -> None:
        same_rows, reference = replace(self.work, layout=""), self.reference  # of both layouts
        self.equal_rows, self.rows = self.once(same_rows, lambda: self.work.rows(self.model))
        self.batches, self.one_batch = self.work.batches, [list(range(self.work.batch_size))]
        self.expected = self.expect((same_rows, "padded"), self.rows, self.batches)
        self._expected_equal = self.expect((same_rows, "equal"), self.equal_rows, self.one_batch)
        self.once((same_rows, "order"), lambda: sentences.refuse_order([*self.equal_rows, *self.rows], self.model,
                                                                       reference))
        self._seen = observer(self.case.device, None, None)

    def in_turns(self, call: "Call", reference: "Call", **how: Any) -> "Timing":
        self._equal = reference
        return super().in_turns(call, reference, observer=self._seen, budget_s=self.series_budget, **how)

    def judge(self, timing):
        """Judge both sides: a ratio of wrong outputs means nothing."""
        padded = super().judge(timing)
        equal = sentences.judge(self._equal(), self.one_batch, self._expected_equal, self.case.variant.tolerance,
                                self.model.pretrained)
        return replace(padded, failures=(*padded.failures, *(f"equal rows: {x}" for x in equal.failures)))

    def complete(self, timing: "Timing") -> PaddingRecord:
        work = self.work
        return self.assembled(
            PaddingRecord, PaddedRows(batch_size=work.batch_size, sequence_length=work.sequence_length,
                                      layout=work.layout),
            recording.in_turns(timing), self._result(timing),
            correctness=recording.correctness(self.case, self.comparison,
                                              rows_depend_on_batch=self.expected.same_batches),
            gpu=self._seen.record() if self._seen else None)

    def _result(self, timing: "Timing") -> Result:
        ratio, lengths = recording.ratio_of(timing), self.expected.lengths
        return Result(padding_cost=1 / ratio.value, padding_cost_low=None if ratio.high is None else 1 / ratio.high,
                      padding_cost_high=None if ratio.low is None else 1 / ratio.low,
                      padding_share=1 - sum(lengths) / (self.work.batch_size * self.work.sequence_length),
                      real_tokens=sum(lengths), padded_tokens=padded_tokens(lengths, self.batches),
                      tokens_per_s=sum(lengths) / median(timing.rounds))


def tables(model: str, records: Sequence[PaddingRecord]) -> list[Grid]:
    workloads = list(dict.fromkeys(record.identity.workload for record in records))
    by_place = {record.key: record for record in records}
    known = [record for record in records
             if not says_nothing(record.result.padding_cost_low, record.result.padding_cost_high)]
    least = {record.identity.workload: record.identity.variant
             for record in sorted(known, key=lambda record: -record.result.padding_cost)}
    rows = [[variant, *(_cost(by_place.get((variant, workload)), least) for workload in workloads)]
            for variant in dict.fromkeys(record.identity.variant for record in records)]
    dense = {record.identity.workload: record.result.padded_tokens / record.result.real_tokens for record in records}
    rows.append(["padded over real tokens", *(f"{dense[workload]:.2f}" for workload in workloads)])
    note = ("Time of a batch with one long row, divided by the time of equal rows with the same tokens, in turns, with "
            "the 95 % interval; 1: padding is free; * least. bucketed: the long row is a separate batch.")
    return [Grid(f"{model}: cost of padding", ["variant", *workloads], rows, note)]


def _cost(record: PaddingRecord | None, least: dict[str, str]) -> str:
    if record is None:
        return "–"
    mark = "*" if least.get(record.identity.workload) == record.identity.variant else ""
    return f"{record.result.padding_cost:.2f}{mark}{_interval(record)}"


def _interval(record: PaddingRecord) -> str:
    return interval(record.result.padding_cost_low, record.result.padding_cost_high)


def headline(record: PaddingRecord) -> str:
    return f"padding costs {times(record.result.padding_cost)}{_interval(record)}"


def rank(record: PaddingRecord) -> float:
    return -record.result.padding_cost


def number(record: PaddingRecord) -> Number:
    found = record.result
    return found.padding_cost, found.padding_cost_low, found.padding_cost_high


EXPERIMENT = Experiment("padding", 2, "How much longer do the same tokens take when one long row pads the others?",
                        workloads, PaddingRun, PaddingRecord, tables, headline, rank,
                        Dots(number, "times the time of the same tokens without padding", "1 means that padding is "
                             "free: only real tokens are computed. One colour has the long row in the same batch, the "
                             "other in a separate one. Bars: 95 % intervals.", most=False, log=True,
                             line=1.0))
