"""Example inputs for a build: for all shapes, or for one case."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from eagerbench.backends.base import Arrays
from eagerbench.errors import CannotRun
from eagerbench.measuring.reference import Reference
from eagerbench.outputs.tolerance import compare
from eagerbench.workloads import export_example
from eagerbench.workloads.base import OneBatch, Workload
from eagerbench.workloads.tasks import Task

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


def for_all_shapes(model: "LoadedModel", reference: Reference) -> Arrays:
    """Several rows, or one for a model that takes no more (a classifier without a padding token).

    Raises:
        CannotRun: no inputs can be made.
    """
    batch = export_example(model.spec)
    for candidate in (batch, replace(batch, batch_size=1)):
        inputs = candidate.inputs(model)
        with contextlib.suppress(CannotRun):
            reference.outputs(inputs)
            return inputs
    return batch.inputs(model)


def refuse_hidden_state(model: "LoadedModel", reference: Reference, planned: Sequence[OneBatch]) -> None:
    """To be asked before anything else is called: long, short and long again, each by a module that nothing has called.

    Raises:
        CannotRun: the model remembers outside of its module (a global, a class attribute, a closure), where no copy of
            it has a state of its own.
    """
    batches = sorted([*planned, export_example(model.spec)], key=lambda batch: batch.sequence_length)
    short, long = batches[0], batches[-1]
    found = []
    with contextlib.suppress(CannotRun):  # inputs or calls that fail: each case says so itself
        for batch in (long, short, long):
            reference.renew()
            found.append(reference.outputs(batch.inputs(model)))
    reference.renew()
    if len(found) == 3 and compare(found[2], found[0], None, None, "exact-math", False).failures:
        raise CannotRun(f"{type(model.module).__name__} gives other outputs for {long.title} after a call with "
                        f"{short.title}, and keeps that state outside its module, where a copy does not reset it; keep "
                        "such state in attributes or buffers of the module")


def takes_another_path(workload: Workload, reference: Reference, example: Arrays) -> bool:
    """Whether a model that remembers gives other outputs for a case once it had the example, or the other way round: a
    graph that was made with the example is then another function than the case's.

    Raises:
        CannotRun: eager fails on the case.
    """
    batch = getattr(workload, "batch", workload)
    reference.renew()
    if not isinstance(batch, OneBatch | Task):
        return False
    inputs = reference.expected(batch).inputs
    return bool(reference.remembers) and (reference.depends_on_order(inputs, example)
                                          or reference.depends_on_order(example, inputs))
