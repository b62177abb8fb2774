"""What a history says, as types: its JSON, and what the page, the tables and the feed are made of."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from eagerbench.history import causes
from eagerbench.history import changes as changing
from eagerbench.history.entry import Entry
from eagerbench.history.series import Series, Stream, streams
from eagerbench.history.store import Store
from eagerbench.results import machines
from eagerbench.results.record import Part

FORMAT = "eagerbench-history-report/1"


class Run(Part, kw_only=True, omit_defaults=False):
    """A run: when it started, and the commit that it measured."""

    started: str
    commit: str
    branch: str | None
    changed: bool


class Change(Part, kw_only=True, omit_defaults=False):
    """A step of a series.

    Attributes:
        bench: `bench_id`.
        before, after: the runs that it lies between, by their place in the stream's runs; `earliest` and `latest` are
            the first and the last run that may be the first one after it (95 %).
        ratio: speed after over speed before, with its 95 % interval; below 1 it became slower.
        was, now: median ratio to the anchor on either side.
        runs_before, runs_after: in the segments beside it.
        p: adjusted for all series of this report; a bound of it where that is small enough.
        provisional: fewer than five runs follow: it may go away.
        causes: what moved between the last run before `earliest` and `latest`.
    """

    bench: str
    before: int
    after: int
    earliest: int
    latest: int
    ratio: float
    low: float | None
    high: float | None
    was: float
    now: float
    runs_before: int
    runs_after: int
    p: float
    provisional: bool
    causes: list[str]


class SeriesPart(Part, kw_only=True, omit_defaults=False):
    """A series: places of its runs in the stream's runs, and the ratio to the anchor of each with its interval."""

    bench: str
    begins: str
    runs: list[int]
    ratios: list[float]
    low: list[float | None]
    high: list[float | None]


class StreamPart(Part, kw_only=True, omit_defaults=False):
    """Runs of one kind of machine, to one anchor."""

    kind: str
    machine: str
    anchor: str
    hardware: dict[str, str]
    software: dict[str, str]
    runs: list[Run]
    changes: list[Change]
    vanished: dict[str, str]
    new: list[str]
    series: list[SeriesPart]


class Report(Part, kw_only=True, omit_defaults=False):
    """Everything. `newest` is the start of the newest run, ISO 8601; `left_out` has a line for each unreadable file."""

    format: Literal["eagerbench-history-report/1"] = FORMAT
    newest: str
    alpha: float
    least: float
    streams: list[StreamPart]
    left_out: list[str]

    @property
    def changes(self) -> list[tuple[StreamPart, Change]]:
        """The newest first."""
        found = [(stream, change) for stream in self.streams for change in stream.changes]
        return sorted(found, key=lambda one: (one[0].runs[one[1].after].started, one[1].bench), reverse=True)


def of_store(store: Store, least: float = changing.LEAST, repository: Path | None = None) -> Report:
    """The report of a history.

    Args:
        least: smallest change that is reported, as a share.
        repository: where the commits are, for their subjects.
    """
    found = streams(store.entries)
    every = [one for stream in found for one in stream.series]
    steps = iter(changing.find([one.logs for one in every], least))
    parts = [_part(stream, [next(steps) for _ in stream.series], repository) for stream in found]
    return Report(newest=store.entries[-1].started, alpha=changing.ALPHA, least=least, streams=parts,
                  left_out=list(store.left_out))


def _part(stream: Stream, steps: Sequence[Sequence[changing.Change]], repository: Path | None) -> StreamPart:
    asked: dict[tuple[int, int], list[str]] = {}
    changes = [made for one, found in zip(stream.series, steps, strict=True)
               for made in _changes(stream, one, found, repository, asked)]
    newest = stream.runs[-1]
    return StreamPart(
        kind=stream.kind, machine=machines.title(newest.hardware), anchor=stream.anchor, hardware=newest.hardware,
        software=newest.software, runs=[_run(entry) for entry in stream.runs],
        changes=sorted(changes, key=lambda one: (-one.after, one.bench)), vanished=stream.vanished,
        new=list(stream.new), series=[_series(one) for one in stream.series])


def _changes(stream: Stream, series: Series, steps: Sequence[changing.Change], repository: Path | None,
             asked: dict[tuple[int, int], list[str]]) -> Iterator[Change]:
    ends = [0, *(step.at for step in steps), len(series.runs)]
    levels = [math.exp(np.median(series.logs[start:end])) for start, end in pairwise(ends)]
    for place, step in enumerate(steps):
        first, last = step.earliest - 1, step.latest
        window = series.runs[first], series.runs[last]
        if window not in asked:
            asked[window] = causes.between(*(stream.runs[run] for run in window), repository=repository)
        said = causes.of_model([series.points[first], series.points[last]])
        low, high = (None if end is None else math.exp(end) for end in (step.low, step.high))
        yield Change(
            bench=series.bench, before=series.runs[step.at - 1], after=series.runs[step.at],
            earliest=series.runs[step.earliest], latest=series.runs[step.latest], ratio=math.exp(step.log_ratio),
            low=low, high=high, was=levels[place], now=levels[place + 1], runs_before=step.before,
            runs_after=step.after, p=step.p, provisional=step.provisional, causes=[*asked[window], *said])


def _series(one: Series) -> SeriesPart:
    return SeriesPart(bench=one.bench, begins=one.begins, runs=list(one.runs),
                      ratios=[point.ratio for point in one.points], low=[point.low for point in one.points],
                      high=[point.high for point in one.points])


def _run(entry: Entry) -> Run:
    return Run(started=entry.started, commit=entry.commit.id, branch=entry.commit.branch, changed=entry.commit.changed)
