"""Machines of a fleet, each known by its fingerprint, and what each measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eagerbench.errors import BadInput
from eagerbench.history.entry import Entry, Point
from eagerbench.results import machines

Place = tuple[str, str]  # model; workload and device


@dataclass(frozen=True)
class Machine:
    """A kind of machine.

    Attributes:
        kind: eight digits, its name in tables.
        points: of each place, by variant; of several runs the newest that has it.
        runs: how many files it has.
    """

    kind: str
    title: str
    hardware: Mapping[str, str]
    software: Mapping[str, str]
    points: Mapping[Place, Mapping[str, Point]]
    runs: int

    @property
    def sets(self) -> list[str]:
        return machines.sets_of(self.hardware)


def of_entries(entries: Sequence[Entry]) -> list[Machine]:
    """One machine a kind, in the order of the entries."""
    by_kind: dict[str, list[Entry]] = {}
    for entry in entries:
        by_kind.setdefault(entry.kind, []).append(entry)
    found = []
    for kind, runs in by_kind.items():
        points: dict[Place, dict[str, Point]] = {}
        runs.sort(key=lambda run: run.when)
        for run in runs:
            for bench, point in run.points.items():
                model, _, rest = bench.partition("/")
                variant, slash, workload = rest.partition("/")
                if slash:  # what another suite names otherwise has no variant
                    points.setdefault((model, workload), {})[variant] = point
        newest = runs[-1]
        found.append(Machine(kind, machines.title(newest.hardware), newest.hardware, newest.software, points,
                             len(runs)))
    return found


def places(fleet: Sequence[Machine]) -> list[Place]:
    """Those that any machine measured, those of most machines first."""
    found = dict.fromkeys(place for machine in fleet for place in machine.points)
    return sorted(found, key=lambda place: -sum(place in machine.points for machine in fleet))


def prices(given: Sequence[str], fleet: Sequence[Machine]) -> dict[str, float]:
    """USD an hour of each machine that has a price, by its kind.

    Args:
        given: `NAME=USD_PER_HOUR`; a name is the beginning of a kind, or any part of a title.

    Raises:
        BadInput: not of this form, or not the name of exactly one machine.
    """
    found: dict[str, float] = {}
    for text in given:
        name, equals, price = text.rpartition("=")
        try:
            value = float(price)
        except ValueError:
            value = float("nan")
        if not equals or not name or not 0 < value < 1e6:
            raise BadInput(f"--price {text}: expected NAME=USD_PER_HOUR, such as {fleet[0].kind}=0.17")
        meant = [one.kind for one in fleet if one.kind.startswith(name) or name.lower() in one.title.lower()]
        if len(meant) != 1:
            known = ", ".join(f"{one.kind} ({one.title})" for one in fleet)
            what = "no machine has" if not meant else f"{len(meant)} machines have"
            raise BadInput(f"--price {text}: {what} this name; machines: {known}")
        found[meant[0]] = value
    return found
