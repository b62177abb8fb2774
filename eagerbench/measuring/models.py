"""The model that is measured, with its reference: one in memory at a time."""

from collections.abc import Callable, Hashable
from typing import Any

from eagerbench.backends.building import Built
from eagerbench.errors import BadInput, CannotRun, first_line
from eagerbench.machine import spent
from eagerbench.measuring.reference import Reference
from eagerbench.models.loading import LoadedModel, load
from eagerbench.models.specs import ModelSpec
from eagerbench.models.state import Untouched
from eagerbench.workloads import export_example


class Memo:
    """What does not depend on the variant: made once for all variants of a model, from its key's values alone."""

    def __init__(self):
        self._kept: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make()` gives; its refusal is kept too."""
        if key not in self._kept:
            try:
                self._kept[key] = make()
            except CannotRun as reason:
                self._kept[key] = reason
        if isinstance(self._kept[key], CannotRun):
            raise self._kept[key]
        return self._kept[key]


class Models:
    """Loads models by their spec.

    Args:
        device: `cpu` or `cuda:N`.

    Attributes:
        memo, built: of the model that is in memory; `built` is the variant that `Builds` keeps, with what it needs to
            know of it.
    """

    def __init__(self, device: str):
        self._device = device
        self._now: tuple[ModelSpec, LoadedModel, Reference] | None = None
        self._unloadable: dict[ModelSpec, CannotRun] = {}
        self.memo = Memo()
        self.built: tuple[Hashable, Built, Untouched] | None = None

    def load(self, spec: ModelSpec) -> None:
        """Load a model before anything is built of it.

        Raises:
            BadInput: it cannot be loaded, or makes no inputs to be called with.
        """
        model = self._loaded(spec)[0]
        if spec.kind == "factory" and spec.audio is None:
            try:
                export_example(model.spec).inputs(model)
            except CannotRun as reason:
                raise BadInput(f"--model {spec.target}: {reason}") from None
            except Exception as error:  # whatever a module of one's own makes of being asked for its inputs
                raise BadInput(f"--model {spec.target}: no inputs can be made for it ({first_line(error)}); give it a "
                               "method example_inputs") from error

    def model(self, spec: ModelSpec) -> LoadedModel:
        """
        Raises:
            CannotRun: it cannot be loaded any more, or, in a catalog, not on this machine.
        """
        if spec in self._unloadable:
            raise self._unloadable[spec]
        try:
            return self._loaded(spec)[0]
        except BadInput as error:
            self._unloadable[spec] = CannotRun(str(error))
            raise self._unloadable[spec] from error

    def reference(self, spec: ModelSpec) -> Reference:
        return self._loaded(spec)[1]

    def _loaded(self, spec: ModelSpec) -> tuple[LoadedModel, Reference]:
        if self._now is None or self._now[0] != spec:
            self._now, self.built, self.memo = None, None, Memo()  # give memory back before the next model takes it
            with spent.during("models"):
                self._now = (spec, *self._load(spec))
        return self._now[1:]

    def _load(self, spec: ModelSpec) -> tuple[LoadedModel, Reference]:
        model = load(spec, self._device)
        try:
            _ = model.fingerprint, model.derived  # kept: of the model that no call has changed
            return model, Reference(model, self._device)
        except Exception as error:
            raise BadInput(f"--model {spec.name}: cannot be copied or hashed: {first_line(error)}; every variant "
                           "is built from a copy: return a module that copy.deepcopy() can copy") from error
