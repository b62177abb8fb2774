"""Series of a history: one benchmark on one kind of machine, to one anchor, as long as it is the same benchmark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from eagerbench.history.entry import Entry, Point
from eagerbench.results import sameness


@dataclass(frozen=True)
class Series:
    """A benchmark over the runs that have it.

    Attributes:
        runs: places of its runs in the stream.
        points: of each of these runs.
        begins: why it is no part of an earlier series of this name (`weights changed`); empty of the first.
    """

    bench: str
    runs: Sequence[int]
    points: Sequence[Point]
    begins: str = ""

    @cached_property
    def logs(self) -> np.ndarray:
        """log of each ratio, (runs,)."""
        return np.log([point.ratio for point in self.points])


@dataclass(frozen=True)
class Stream:
    """Runs that may be compared: of one kind of machine, to one anchor; by time.

    Attributes:
        kind: eight digits of the machine.
        vanished: benchmarks that the newest run lacks, with the reason, by name.
        new: benchmarks that the newest run has for the first time.
    """

    kind: str
    anchor: str
    runs: Sequence[Entry]
    series: Sequence[Series] = ()
    vanished: dict[str, str] = field(default_factory=dict)
    new: Sequence[str] = ()


def streams(entries: Sequence[Entry]) -> list[Stream]:
    """Streams of entries that are sorted by time, the one with the newest run first."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.kind, entry.anchor), []).append(entry)
    by_time = sorted(found.items(), key=lambda one: -one[1][-1].when)
    return [_stream(kind, anchor, runs) for (kind, anchor), runs in by_time]


def _stream(kind: str, anchor: str, runs: Sequence[Entry]) -> Stream:
    places: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        for bench in run.points:
            places.setdefault(bench, []).append(place)
    series = [one for bench, where in places.items() for one in _parts(bench, where, runs)]
    reasons, last = runs[-1].reasons, len(runs) - 1
    vanished = {bench: reasons.get(bench) or "not in the newest run" for bench, where in places.items()
                if where[-1] < last}
    new = [bench for bench, where in places.items() if where == [last]] if last else []
    return Stream(kind, anchor, runs, series, vanished, new)


def _parts(bench: str, where: Sequence[int], runs: Sequence[Entry]) -> Iterator[Series]:
    """A benchmark's series: another one begins where its weights, inputs, dtype, seed or corpus change."""
    begins, start = "", 0
    for end in range(1, len(where) + 1):
        why = ""
        if end < len(where):
            why, _ = sameness.changed([runs[where[end - 1]].points[bench].same, runs[where[end]].points[bench].same])
            if not why:
                continue
        yield Series(bench, where[start:end], [runs[place].points[bench] for place in where[start:end]], begins)
        begins, start = why, end
