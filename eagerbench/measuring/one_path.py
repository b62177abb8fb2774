"""Whether a model takes other branches at another size, which an export cannot follow."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from eagerbench import backends
from eagerbench.backends.base import Arrays, ExportingBackend
from eagerbench.backends.building import Built
from eagerbench.case import Case
from eagerbench.errors import CannotRun, Refused
from eagerbench.workloads import export_example
from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


def in_plain_words(model: "LoadedModel", case: Case, reason: CannotRun) -> CannotRun:
    """A failed export of a model that takes another path at another size: exporters have other words for it."""
    refused = reason.__cause__ is None or isinstance(reason.__cause__, Refused)
    if refused or not isinstance(backends.variants()[case.variant.name][1], ExportingBackend):
        return reason
    other = _of_case(model, case)
    return reason if other is None else CannotRun(f"{other} ({reason})")


def require(model: "LoadedModel", case: Case, built: Built, called: Iterable[Arrays] | None, error: Exception) -> None:
    """
    Args:
        called: inputs that the case calls the variant with; None for those of its batch.

    Raises:
        CannotRun: an export is wrong, or fails, because the model takes another path for this case.
    """
    if isinstance(error, CannotRun) or built.directory is None or built.backend.per_workload:
        return
    reason = _of_case(model, case) if called is None else _of_calls(model, case, called)
    if reason:
        raise CannotRun(reason) from error


def _of_case(model: "LoadedModel", case: Case) -> str | None:
    batch = getattr(case.workload, "batch", case.workload)
    return _of_calls(model, case, [batch.inputs(model)]) if isinstance(batch, OneBatch) else None


def _of_calls(model: "LoadedModel", case: Case, called: Iterable[Arrays]) -> str | None:
    exported = export_example(case.model).inputs(model)
    return next(filter(None, (other_path(model, exported, inputs) for inputs in called)), None)


def other_path(model: "LoadedModel", exported: Arrays, called: Arrays) -> str | None:
    """Why what was exported with some inputs is not the model for others; None when the model's code does the same.

    Traced with both inputs, BigBird has other operators (it attends in full to short texts only), Longformer other
    constants (it pads to whole windows). A model whose sizes are all read from its inputs has neither.
    """
    if _steps(model, exported) == _steps(model, called):
        return None
    sizes = [" × ".join(map(str, next(iter(inputs.values())).shape[:2])) for inputs in (exported, called)]
    return (f"{type(model.module).__name__} takes another branch at {sizes[1]} than at {sizes[0]}, where it was "
            "exported, and an export keeps one branch: use a variant that runs or compiles the module itself")


def _steps(model: "LoadedModel", inputs: Arrays) -> list | None:
    """Operators and constants of a trace, in order; None where it cannot be traced."""
    from eagerbench.backends.tracing import trace

    try:
        graph = trace(model, inputs).inlined_graph
    except Exception:  # then it is no reason
        return None
    return [(node.kind(), _constant(node)) for node in graph.nodes()]


def _constant(node) -> int | list | None:
    if node.kind() != "prim::Constant":
        return None
    value = node.output().toIValue()
    return value if isinstance(value, int | list) else None
