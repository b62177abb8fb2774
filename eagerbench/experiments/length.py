"""Length: what a token costs, and how that grows with the sequence length; batches without padding, alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import TYPE_CHECKING

from eagerbench.experiments.base import Experiment, Lines, Plot
from eagerbench.measuring import recording
from eagerbench.measuring.one_batch import OneBatchRun
from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid
from eagerbench.results.numbers import milliseconds
from eagerbench.results.record import Batch, CallSeconds, Count, Part, Positive, Record, Seconds, WarmedUp
from eagerbench.workloads.base import text_only
from eagerbench.workloads.padded_batch import TokenBatch

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing
    from eagerbench.selection import Selection

# Batch sizes and sequence lengths.
GRIDS = {
    "smoke": ((1,), (8, 32)),
    "default": ((1,), (16, 64, 256)),
    "full": ((1, 32), (8, 16, 32, 64, 128, 256, 384, 512)),
}


@dataclass(frozen=True)
class LengthBatch(TokenBatch):
    """A batch without padding.

    Attributes:
        rebuilds: whether a variant whose build serves one shape is built anew for it.
    """

    rebuilds: bool = False

    def refuses(self, spec, variant, backend):
        if backend.per_workload and not self.rebuilds:
            return "needs a build for each length; add --grid full"
        return text_only(spec) or super().refuses(spec, variant, backend)


def workloads(spec: ModelSpec, selection: "Selection") -> list[LengthBatch]:
    """Each length at each batch size. Only the full grid pays for a build a length."""
    batch_sizes, lengths = GRIDS[selection.grid]
    batch_sizes, lengths = selection.batch_sizes or batch_sizes, sorted(selection.sequence_lengths or lengths)
    return [LengthBatch(size, length, selection.seed, rebuilds=selection.grid == "full")
            for size, length in product(batch_sizes, lengths)]


class Result(Part, kw_only=True):
    """`cost_per_token_s` is in older files only: the fit over the lengths that had run before. It is made of all
    records of a file now."""

    padded_tokens: Count
    real_tokens: Count
    call_s: CallSeconds
    tokens_per_s: Positive
    cost_per_token_s: Seconds | None = None


LengthRecord = Record[Batch, WarmedUp, Result]


class LengthRun(OneBatchRun):
    """The variant runs alone: turns with eager would double the time of the series."""

    def complete(self, timing: "Timing") -> LengthRecord:
        call_s = median(timing.rounds)
        return self.assembled(
            LengthRecord, self.batch, recording.warmed_up(timing),
            Result(padded_tokens=self.padded_tokens, real_tokens=self.real_tokens, call_s=call_s,
                   tokens_per_s=self.real_tokens / call_s))


@dataclass(frozen=True)
class Fit:
    """Seconds of a call = `fixed_s` + `linear_s` · length + `square_s` · length², none of them negative."""

    fixed_s: float
    linear_s: float
    square_s: float

    def marginal_s(self, length: float) -> float:
        """Seconds of one more token in every row."""
        return self.linear_s + 2 * self.square_s * length


def fit(lengths: list[int], seconds: list[float]) -> Fit | None:
    """Least squares of relative errors, coefficients ≥ 0; without the square below four lengths, None below two."""
    import numpy as np
    from scipy.optimize import nnls

    if len(set(lengths)) < 2:
        return None
    terms = 3 if len(set(lengths)) > 3 else 2
    times = np.asarray(seconds)
    design = np.vander(np.asarray(lengths, float), terms, increasing=True) / times[:, None]
    scale = np.linalg.norm(design, axis=0)  # columns of one size, for the solver
    coefficients = nnls(design / scale, np.ones(len(times)))[0] / scale
    return Fit(*coefficients, *[0.0] * (3 - terms))


def tables(model: str, records: Sequence[LengthRecord]) -> list[Grid]:
    lengths = sorted({record.workload.sequence_length for record in records})
    rows = [[variant, str(batch), *_fitted(batch, seconds),
             *(f"{1e3 * seconds[length]:.2f}" if length in seconds else "–" for length in lengths)]
            for (variant, batch), seconds in series(records).items()]
    header = ["variant", "batch", "cost per token, µs", "growth", "fixed, ms", *(f"{length}, ms" for length in lengths)]
    note = ("Fitted to the medians on rows without padding: call = fixed + cost × length + square × length². Cost per "
            "token: of one more token at the shortest length. Growth: that cost at the longest length, divided by that "
            "at the shortest; – with fewer than four lengths.")
    return [Grid(f"{model}: latency against length", header, rows, note)]


def series(records: Sequence[LengthRecord]) -> dict[tuple[str, int], dict[int, float]]:
    """(variant, batch size) → length → seconds of a call, lengths ascending."""
    found: dict[tuple[str, int], dict[int, float]] = {}
    for record in records:
        found.setdefault((record.identity.variant, record.workload.batch_size), {})[
            record.workload.sequence_length] = record.result.call_s
    return {place: dict(sorted(seconds.items())) for place, seconds in found.items()}


def _fitted(batch: int, seconds: dict[int, float]) -> list[str]:
    found = fit(list(seconds), list(seconds.values()))
    if found is None:
        return ["–"] * 3
    shortest, longest = found.marginal_s(min(seconds)), found.marginal_s(max(seconds))
    growth = f"{longest / shortest:.2f}" if len(seconds) > 3 and shortest else "–"
    return [f"{1e6 * shortest / batch:.1f}", growth, f"{1e3 * found.fixed_s:.2f}"]


def headline(record: LengthRecord) -> str:
    return milliseconds(record.result.call_s)


def lines(records: Sequence[LengthRecord]) -> Lines:
    """Milliseconds over the sequence length, a line for each variant and batch size."""
    return {(variant, f"batch {batch}"): {length: 1e3 * call_s for length, call_s in seconds.items()}
            for (variant, batch), seconds in series(records).items()}


def rank(record: LengthRecord) -> float:
    return -record.result.call_s


EXPERIMENT = Experiment("length", 3, "What does a token cost, and how does that grow with the length?", workloads,
                        LengthRun, LengthRecord, tables, headline, rank,
                        Plot(lines, "sequence length, tokens", "latency, ms", "Lower is faster. A line that is flat on "
                             "the left has a fixed cost in each call; one that gets steeper on the right has a cost "
                             "with the square of the length. Bars: 95 % interval of the median over rounds."))
