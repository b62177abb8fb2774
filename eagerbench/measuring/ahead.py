"""Exports, and the processes that peaks of memory are read in, before the first case: two at a time.

Nothing is timed yet, so they may run side by side; one after the other they took a third of a first run. What they make
is kept in the store of artifacts, where the cases find it. What fails here is not reported: its case does it once more,
and has the reason. A process that crashes leaves what it had not begun to the other one, and in the end to the cases.

Run as `python -m eagerbench.measuring.ahead REQUEST NUMBER`.
"""

import contextlib
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from eagerbench import backends
from eagerbench.backends.base import ExportingBackend
from eagerbench.backends.building import Built
from eagerbench.case import DEFAULT, Case
from eagerbench.estimate import cached_in, export_s, fresh_process_s
from eagerbench.machine import allocator, quiet, quota
from eagerbench.measuring import own_process
from eagerbench.measuring.own_process import OwnProcess
from eagerbench.measuring.served import Served
from eagerbench.models.specs import ModelSpec
from eagerbench.selection import Selection
from eagerbench.shown import count
from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.measuring.session import Session

AT_ONCE = 2
WITH_A_PEAK = (DEFAULT, "memory")  # experiments whose records have one
_LEAST_S = 60.0  # of work that is worth two more processes, each of which imports torch and makes a reference
_MOST_S = 900.0
_COPIES = 8  # of the parameters that a process has at most: float32, float64, a copy to export, and what is exported


@dataclass(frozen=True)
class Request:
    """What the processes do: each of `jobs` are the cases of a model and variant. `planned` as of `Session`."""

    jobs: Sequence[Sequence[Case]]
    selection: Selection
    allocator: str
    planned: dict[ModelSpec, list[OneBatch]]


def jobs(cases: Iterable[Case], selection: Selection) -> list[list[Case]]:
    """The cases of each model and variant of which something seems to be missing in the store, longest work first; none
    where they are not worth it, or may disturb what another session measures."""
    if (selection.device != "cpu" or selection.rebuild or selection.device_map or quota.usable_cores() < AT_ONCE
            or quiet.VARIABLE in os.environ):
        return []
    exported, measured = cached_in(selection.artifacts / "variants"), cached_in(selection.artifacts / "memory")
    found: dict[tuple, _Job] = {}
    for case in cases:
        peak, backend = _has_a_peak(case, selection), backends.variants()[case.variant.name][1]
        if not peak and not isinstance(backend, ExportingBackend):
            continue
        build = case.model.name, case.variant.name, case.workload if backend.per_workload else None
        job = found.get(build) or found.setdefault(build, _Job(export_s(case, exported)))
        job.add(case, fresh_process_s(case, measured) if peak else 0.0)
    missing = [job for job in found.values() if job.seconds]
    if sum(job.seconds for job in missing) < _LEAST_S:
        return []
    models = list(dict.fromkeys(job.cases[0].model.name for job in missing))  # one is in memory at a time
    missing.sort(key=lambda job: (models.index(job.cases[0].model.name), -job.seconds))
    return [job.cases for job in missing]


@dataclass
class _Job:
    """What is to be made of a build. `seconds` are about what is missing of it."""

    seconds: float
    cases: list[Case] = field(default_factory=list)
    _peak_s: float = 0.0

    def add(self, case: Case, peak_s: float) -> None:
        """`peak_s`: for one process, in which the peaks of all cases are read."""
        self.cases.append(case)
        self.seconds += max(0.0, peak_s - self._peak_s)
        self._peak_s = max(self._peak_s, peak_s)


def _has_a_peak(case: Case, selection: Selection) -> bool:
    return case.experiment in WITH_A_PEAK and selection.peaks == "fresh"


def prepare(request: Request, say: Callable[[str], None]) -> None:
    """Do the jobs, or as many as can be done. `say` is told before."""
    say(f"preparing {count(len(request.jobs), 'variant')} before the first case: exports and peaks of memory, "
        f"{AT_ONCE} at a time")
    with own_process.scratch() as scratch, contextlib.ExitStack() as closing:
        file = scratch / "request.pickle"
        file.write_bytes(pickle.dumps(request))

        def started(number: int) -> OwnProcess:
            process = OwnProcess("what is made ahead", own_process.command(__name__, file, number),
                                 scratch / f"notes{number}")
            closing.callback(process.close)
            return process

        own_process.wait([started(number) for number in range(AT_ONCE)], lambda process: process.ended, _MOST_S,
                         part="ahead")


def _serve(file: Path, number: int, served: Served) -> None:
    request: Request = pickle.loads(file.read_bytes())
    in_effect = allocator.configure(request.allocator.partition(" ")[0])  # before anything imports torch
    from eagerbench.measuring.session import Session

    session = Session(request.selection, in_effect, lambda spec: request.planned.get(spec, []),
                      beside=AT_ONCE - 1)
    for place, cases in enumerate(request.jobs):
        if number and not _room_for_another(session, cases[0].model):
            return
        if _claimed(file.with_name(f"job{place}")):
            served.doing(f"making {cases[0].variant.name}")
            for case in cases:
                with contextlib.suppress(Exception):  # its case fails too, and says why
                    _make(session, case)


def _make(session: "Session", case: Case) -> None:
    backend = backends.variants()[case.variant.name][1]
    if isinstance(backend, ExportingBackend):
        built = session.builds.build(case)
    else:  # only a process of its own builds it
        built = Built(case.variant, backend, None, 0.0, 0.0, 0, None, False)
    if _has_a_peak(case, session.selection):
        session.peaks.of(case, built)


def _claimed(file: Path) -> bool:
    """Whether a job is this process's, by a file that is made once."""
    try:
        file.open("x").close()
        return True
    except FileExistsError:
        return False


def _room_for_another(session: "Session", spec: ModelSpec) -> bool:
    """Whether memory is enough for two processes that work on a model, each with one that it starts."""
    import psutil

    wanted = session.models.model(spec).parameter_bytes * _COPIES
    return wanted < psutil.virtual_memory().available


def _main(file: Path, number: int) -> None:
    served = Served(file.with_name(f"notes{number}"))
    with contextlib.suppress(OSError):  # where memory runs out, this process is to go, not the session
        Path("/proc/self/oom_score_adj").write_text("1000")
    served.run(lambda: _serve(file, number, served))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
