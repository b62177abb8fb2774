"""Measuring a built case: around its run, whatever becomes of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eagerbench.backends.building import Built
from eagerbench.case import Case
from eagerbench.errors import CannotRun, NotEngaged, WrongOutput
from eagerbench.experiments import EXPERIMENTS
from eagerbench.machine import quiet, room
from eagerbench.measuring.run import Run
from eagerbench.measuring.session import Session
from eagerbench.measuring.timing import reject


@contextmanager
def measuring(session: Session, benchmark: Any, case: Case, built: Built) -> Iterator[Run]:
    """A run of a built case. Whatever ends it early, Ctrl-C too, no time of it is kept.

    Raises:
        WrongOutput, NotEngaged: the case fails.
        CannotRun: with the reason for the cell.
    """
    if built.runner.threads != session.selection.threads:
        raise WrongOutput(f"{case.bench_id}: runs on {built.runner.threads} threads, {session.selection.threads} were "
                          "asked for")
    reject(benchmark)
    benchmark.group = case.group
    run = None
    with quiet.alone():
        try:
            session.entered("preparing")
            experiment = EXPERIMENTS[case.experiment]
            run = experiment.run(session, benchmark, case, built)
            run.record_type = experiment.record
            yield run
        except NotEngaged:
            raise
        except Exception as error:
            # Outputs that are right came from the model's own path; those of a process of its own may not.
            if run is None or not run.judged or isinstance(error, WrongOutput):
                session.require_one_path(case, built, None if run is None else run.called(), error)
            if (full := room.reason(error, session.artifacts)) is None:
                raise
            raise CannotRun(full) from error
    if not run.finished:
        raise RuntimeError(f"{case.bench_id}: the perf test ends without run.finish(timing): nothing is recorded")
