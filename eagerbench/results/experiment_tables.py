"""The tables of each experiment. A new experiment is a line in `TABLES`; for many a `RecordTable` is enough."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eagerbench.results import (
    corpus_tables as corpus,
)
from eagerbench.results import (
    generation_tables as generation,
)
from eagerbench.results import (
    latency_tables as latency,
)
from eagerbench.results import (
    length_tables as length,
)
from eagerbench.results import (
    memory_tables as memory,
)
from eagerbench.results import (
    padding_tables as padding,
)
from eagerbench.results import (
    quality_tables as quality,
)
from eagerbench.results import (
    startup_tables as startup,
)
from eagerbench.results import (
    threads_tables as threads,
)
from eagerbench.results.grid import Grid, interval

Record = dict[str, Any]


@dataclass(frozen=True)
class RecordTable:
    """One row a record, sorted within a workload by the experiment's final number, which stands first.

    Attributes:
        title: behind the model's name.
        final: record field of the final number; null where it is undefined.
        columns: name of a column and its text from a record; the first shows the final number.
        note: below the table.
        largest_first: whether more is better.
    """

    title: str
    final: str
    columns: tuple[tuple[str, Callable[[Record], str]], ...]
    note: str
    largest_first: bool = True

    def __call__(self, model: str, records: list[Record]) -> list[Grid]:
        place = {workload: index for index, workload in enumerate(dict.fromkeys(r["workload"] for r in records))}
        sign = -1 if self.largest_first else 1

        def order(record: Record) -> tuple[int, bool, float]:
            number = record[self.final]
            return place[record["workload"]], number is None, 0 if number is None else sign * number

        ordered = sorted(records, key=order)
        rows = [[record["workload"], record["variant"], *(text(record) for _, text in self.columns)]
                for record in ordered]
        header = ["workload", "variant", *(name for name, _ in self.columns)]
        return [Grid(f"{model}: {self.title}", header, rows, self.note)]


def _speedup(record: Record) -> str:
    return f"{record['speedup_vs_eager']:.2f}{interval(record['speedup_low'], record['speedup_high'])}"


def _predictions(record: Record) -> str:
    """`75.0% of 4`; of a ranking `75.0% of 4 places, Kendall 0.67`."""
    if record["predictions_equal"] is None:
        return f"no ranking of {record['predictions']}"
    text = f"{record['predictions_equal']:.1%} of {record['predictions']}"
    correlation = record.get("rank_correlation")
    return text if correlation is None else f"{text} places, Kendall {correlation:.2f}"


TABLES: dict[str, Callable[[str, list[Record]], list[Grid]]] = {
    "latency": latency.tables,
    "corpus": corpus.tables,
    "padding": padding.tables,
    "length": length.tables,
    "startup": startup.tables,
    "memory": memory.tables,
    "threads": threads.tables,
    "quality": quality.tables,
    "tasks": RecordTable("predictions of its task", "predictions_equal", (
        ("predictions equal", _predictions),
        ("times eager", _speedup),
        ("largest error", lambda record: f"{record['max_abs_error']:.1e}")),
        "Answers, labels or words that are eager's; of labels that may hold together, signs; of one label, places in "
        "the ranking of its scores. Times faster than eager, in turns, with its 95 % interval."),
    "generation": generation.tables,
}
