"""What files say of each variant of a model: its records, one a process, and what became of the rest."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from eagerbench.case import DEFAULT
from eagerbench.errors import BadInput
from eagerbench.results import fingerprint, records
from eagerbench.results.decode import BadRecord, decode
from eagerbench.results.record import AgainstEager, Record
from eagerbench.shown import one_line
from eagerbench.statistics import paired_log_ratios

_SAME_ENVIRONMENT = ("CPU", "cores", "usable", "memory", "kernel", "system", "architecture", "GPU", "L1", "L2", "L3",
                     "processor")  # a field that begins so is of the machine, any other of what is installed


@dataclass(frozen=True)
class Source:
    """A file: its name, and its content as `records.read` gives it."""

    name: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Observation:
    """A record of one process, and what pytest-benchmark timed.

    Attributes:
        rounds: seconds of every round; empty where the file was saved without them.
    """

    record: Record
    median_s: float
    rounds: list[float]
    source: int

    @cached_property
    def log_ratios(self) -> list[float]:
        """log(eager / variant) of each pair of turns; empty where the file does not hold the rounds."""
        timing = self.record.timing
        if not isinstance(timing, AgainstEager) or len(self.rounds) != sum(timing.variant_turns):
            return []
        return paired_log_ratios(self.rounds, timing.variant_turns, timing.reference_rounds, timing.reference_turns)


@dataclass(frozen=True)
class Gap:
    """A case without a time that can be used: status and reason as the file's cell has them."""

    status: str
    reason: str


@dataclass
class OfVariant:
    """What is known of a variant, by (experiment, workload)."""

    variant: str
    observed: dict[tuple[str, str], list[Observation]] = field(default_factory=dict)
    gaps: dict[tuple[str, str], Gap] = field(default_factory=dict)

    def of_experiment(self, experiment: str) -> list[Observation]:
        return [one for (name, _), found in self.observed.items() if name == experiment for one in found]

    @property
    def any(self) -> Observation | None:
        return next((one for found in self.observed.values() for one in found), None)


@dataclass
class Subject:
    """A model on a device: what a choice is made for."""

    model: str
    device: str
    variants: dict[str, OfVariant] = field(default_factory=dict)

    def variant(self, name: str) -> OfVariant:
        return self.variants.setdefault(name, OfVariant(name))

    def places(self) -> list[tuple[str, str]]:
        """Every (experiment, workload) that has a record or a cell, in the order of the files' names."""
        found = {place for one in self.variants.values() for place in (*one.observed, *one.gaps)}
        return sorted(found)


def shown(place: tuple[str, str], one: Observation | None) -> str:
    """`8×128` of a latency case, otherwise `corpus b8-sorted-n64`."""
    sizes = [getattr(one.record.workload, name, None) for name in ("batch_size", "sequence_length")] if one else []
    if place[0] != DEFAULT:
        return " ".join(place)
    return "×".join(map(str, sizes)) if sizes and None not in sizes else place[1]


def key(place: tuple[str, str]) -> str:
    """`b8-s128` of a latency case, otherwise `corpus/b8-sorted-n64`."""
    return place[1] if place[0] == DEFAULT else "/".join(place)


def gather(sources: Sequence[Source]) -> tuple[list[Subject], dict[str, str], dict[str, str]]:
    """Subjects in the order of their names; the fingerprint of the one machine; and why a benchmark is left out, by
    its name.

    Raises:
        BadInput: no record of ours in any file, or files of several machines.
    """
    machine = _one_machine(sources)
    subjects: dict[tuple[str, str], Subject] = {}
    bad: dict[str, str] = {}
    for index, source in enumerate(sources):
        ours = [bench for bench in source.content["benchmarks"] if records.is_ours(bench)]
        counts = Counter(map(records.identity, ours))
        for bench in ours:
            if counts[name := records.identity(bench)] > 1:
                bad[name or "a benchmark"] = "stands twice in a file"
            else:
                _take(bench, index, subjects, bad)
        for cell in records.cells(source.content)[0]:
            _take_cell(cell, subjects)
    if not subjects and not bad:
        names = ", ".join(source.name for source in sources)
        raise BadInput(f"{names}: no record of eagerbench in it, so nothing to choose between; `eagerbench run` saves "
                       "some")
    for subject in subjects.values():
        subject.variants = dict(sorted(subject.variants.items()))
    return [subjects[name] for name in sorted(subjects)], machine, bad


def _one_machine(sources: Sequence[Source]) -> dict[str, str]:
    machines = [fingerprint.of(source.content.get("machine_info")) for source in sources]
    for source, machine in zip(sources[1:], machines[1:], strict=True):
        said = fingerprint.why_not_the_same(machines[0], machine)
        if said:
            more = f" and {len(said) - 2} more" if len(said) > 2 else ""
            raise BadInput(one_line(f"{sources[0].name} and {source.name} are not known to be of one machine and "
                                    f"environment ({'; '.join(said[:2])}{more}): their times cannot be "
                                    "compared; give them one at a time"))
    return machines[0] if machines else {}


def _take(bench: Mapping[str, Any], source: int, subjects: dict, bad: dict[str, str]) -> None:
    name = records.identity(bench) or "a benchmark without a name"
    problems = list(records.bench_problems(bench))
    try:
        if problems:
            raise BadRecord("; ".join(problems))
        record = decode(bench["extra_info"])
    except BadRecord as error:
        bad[name] = str(error)
        return
    identity = record.identity
    subject = subjects.setdefault((identity.model, identity.device), Subject(identity.model, identity.device))
    found, place = subject.variant(identity.variant), (identity.experiment, identity.workload)
    elsewhere = _of_another_machine(identity.machine_differences)
    if elsewhere:
        found.gaps.setdefault(place, Gap("another machine", elsewhere))
    elif not record.conditions.usable:
        found.gaps.setdefault(place, Gap("unusable", record.conditions.unusable_reason or "no reason given"))
    else:
        stats = bench["stats"]
        found.observed.setdefault(place, []).append(
            Observation(record, float(stats["median"]), list(stats.get("data") or []), source))


def _of_another_machine(differences: Iterable[str]) -> str:
    """What `merge` found to differ of the machine itself; an environment of other packages is no other machine."""
    return "; ".join(line for line in differences if line.startswith(_SAME_ENVIRONMENT))


def _take_cell(cell: Mapping[str, str], subjects: dict) -> None:
    device = cell["bench_id"].rpartition("/")[2]
    if cell["status"] == "timed" or not all(name in cell for name in ("model", "variant", "workload")):
        return
    subject = subjects.setdefault((cell["model"], device), Subject(cell["model"], device))
    place = cell.get("experiment", DEFAULT), cell["workload"]
    subject.variant(cell["variant"]).gaps.setdefault(place, Gap(cell["status"], cell.get("reason", "")))
