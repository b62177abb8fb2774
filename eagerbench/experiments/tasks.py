"""Tasks: a batch for the model's head, in turns with eager, and how many predictions are eager's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.measuring import recording
from eagerbench.measuring.one_batch import OneBatchRun
from eagerbench.models.catalog import HEADS
from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid, interval
from eagerbench.results.numbers import times
from eagerbench.results.record import AgainstEager, Cosine, Count, Part, Record, Share
from eagerbench.workloads.tasks import Labelling, Questions, Task

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing
    from eagerbench.selection import Selection

# Questions, and (batch size, sequence length) of the other tasks.
GRIDS = {"smoke": (1, (2, 32)), "default": (1, (4, 64)), "full": (8, (8, 128))}


def workloads(spec: ModelSpec, selection: "Selection") -> list[Task]:
    """The one that the model's head is for."""
    questions, shape = GRIDS[selection.grid]
    rebuilds = selection.grid == "full"
    if spec.task in HEADS and spec.task != "question-answering":
        return [Labelling(spec.task, *shape, selection.seed, rebuilds)]
    return [Questions(questions, selection.seed, rebuilds=rebuilds)]


class TaskBatch(Part, kw_only=True):
    """`batch_size` texts to be labelled, or `questions` on contexts in windows that overlap by `stride` tokens."""

    task: Literal["sequence-classification", "token-classification", "question-answering", "masked-lm"]
    sequence_length: Count
    batch_size: Count | None = None
    questions: Count | None = None
    stride: Count | None = None


class Result(Part, kw_only=True):
    """How far what a user reads from the outputs is what is read from eager's.

    Attributes:
        rows: of the batch: windows, for questions.
        predictions: texts, tokens, places of a ranking or questions.
        predictions_equal: share of them that are eager's; None without a ranking.
        rank_correlation: Kendall's, of a ranking.
    """

    rows: Count
    padded_tokens: Count
    real_tokens: Count
    predictions: Count
    predictions_equal: Share | None
    predictions_read_as: Literal["label", "sign", "rank", "span"] | None = None
    rank_correlation: Cosine | None = None


TasksRecord = Record[TaskBatch, AgainstEager, Result]


class TasksRun(OneBatchRun):
    """Predictions are read from what the last timed call returned."""

    def judge(self, timing):
        self._outputs = self.built.runner.arrays(timing.result)
        return self.expected.judge(self._outputs, self.case.variant.tolerance)

    def complete(self, timing: "Timing") -> TasksRecord:
        found = self.work.agreed(self.model, self._outputs, self.expected.outputs)
        rows, width = self.inputs["input_ids"].shape
        result = Result(rows=rows, padded_tokens=rows * width, real_tokens=self.work.real_tokens(self.model),
                        predictions=found.predictions, predictions_equal=found.equal, predictions_read_as=found.how,
                        rank_correlation=found.rank_correlation)
        return self.assembled(TasksRecord, TaskBatch(**self.work.facts), recording.against_eager(timing), result)


def tables(model: str, records: Sequence[TasksRecord]) -> list[Grid]:
    """The variant with the most predictions of eager's first."""
    places = list(dict.fromkeys(record.identity.workload for record in records))

    def order(record: TasksRecord) -> tuple[int, bool, float]:
        equal = record.result.predictions_equal
        return places.index(record.identity.workload), equal is None, -(equal or 0)

    rows = [[record.identity.workload, record.identity.variant, _predictions(record.result), _speedup(record.timing),
             f"{record.correctness.max_abs_error:.1e}"] for record in sorted(records, key=order)]
    header = ["workload", "variant", "predictions equal", "times eager", "largest error"]
    return [Grid(f"{model}: predictions of its task", header, rows,
                 "Predictions equal: answers, labels or words that are the same as eager's (multi-label: signs; one "
                 "label: places in the ranking of its scores). Times eager: in turns, with its 95 % interval.")]


def _predictions(found: Result) -> str:
    """`75.0% of 4`; of a ranking `75.0% of 4 places, Kendall 0.67`."""
    if found.predictions_equal is None:
        return f"no ranking of {found.predictions}"
    text = f"{found.predictions_equal:.1%} of {found.predictions}"
    return text if found.rank_correlation is None else f"{text} places, Kendall {found.rank_correlation:.2f}"


def _speedup(timing: AgainstEager) -> str:
    return f"{timing.speedup_vs_eager:.2f}{interval(timing.speedup_low, timing.speedup_high)}"


def headline(record: TasksRecord) -> str:
    return f"predictions equal: {_predictions(record.result)}, {times(record.timing.speedup_vs_eager)}"


def rank(record: TasksRecord) -> float | None:
    return record.result.predictions_equal


def number(record: TasksRecord) -> Number | None:
    equal = record.result.predictions_equal
    return None if equal is None else (100 * equal, None, None)


EXPERIMENT = Experiment("tasks", 8, "How many answers, labels and words are the same as eager's?", workloads,
                        TasksRun, TasksRecord, tables, headline, rank,
                        Dots(number, "predictions that equal eager's, %", "Right is closer to eager: the share of "
                             "answers, labels or words that are the same. A variant may differ from eager and be "
                             "equally right; only labels show that."), model="distilbert@head=token-classification")
