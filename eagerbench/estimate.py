"""Estimates how long a run will take. Only this module knows what a case costs."""

from collections.abc import Callable, Iterable
from pathlib import Path

from eagerbench import backends
from eagerbench.backends.base import ExportingBackend
from eagerbench.case import DEFAULT, Case

# Seconds beside the time budget, on two cores with MiniLM. A model ten times as large takes several times that.
_AROUND_A_CASE = 0.5  # inputs, judging, the probe
_REFERENCE = 5.0  # of a model: loading, eager, float64
_EXPORT, _COSTLY_EXPORT = 5.0, 25.0  # where the artifact is not cached
_LOAD = 0.7  # of a cached artifact
_COMPILE = 12.0  # in this process, whatever is cached
_FRESH_PROCESS = 5.0
_SERIES = 0.4  # of the budget: experiments that take a share of it, or fixed rounds
_IN_TURNS = (DEFAULT, "startup")
_FRESH = ("startup", "memory", "threads")


class Expected:
    """Seconds that cases are expected to take, each with what is built for it.

    Args:
        cached: whether an artifact of a model and variant is there, asked with `MODEL-VARIANT`.
    """

    def __init__(self, cases: Iterable[Case], time_budget: float, cached: Callable[[str], bool]):
        self.seconds: dict[str, float] = {}
        self.exports = self.cached = 0
        built: set[tuple] = set()
        models: set[str] = set()
        for case in cases:
            seconds = _AROUND_A_CASE + time_budget * (1.2 if case.experiment in _IN_TURNS else _SERIES)
            seconds += _FRESH_PROCESS if case.experiment in _FRESH else 0
            backend = backends.variants()[case.variant.name][1]
            build = case.model.name, case.variant.name, case.workload if backend.per_workload else None
            if build not in built:
                built.add(build)
                seconds += self._building(case, backend, cached)
            if case.model.name not in models:
                models.add(case.model.name)
                seconds += _REFERENCE
            self.seconds[case.id] = seconds

    def _building(self, case: Case, backend: backends.Backend, cached: Callable[[str], bool]) -> float:
        if not isinstance(backend, ExportingBackend):
            return _COMPILE if backend.costly else 0.0
        missing_s = export_s(case, cached)
        self.exports += 1
        self.cached += not missing_s
        return missing_s or _LOAD

    @property
    def text(self) -> str:
        """`about 5 minutes (artifacts: 30 of 31 cached)`."""
        minutes = max(1, round(sum(self.seconds.values()) / 60))
        about = f"about {minutes} minute{'' if minutes == 1 else 's'}"
        if not self.exports:
            return about
        kind = "warm" if self.cached == self.exports else "cold" if not self.cached else "partly cold"
        return f"{about} ({kind}: {self.cached} of {self.exports} artifacts cached)"


def export_s(case: Case, cached: Callable[[str], bool]) -> float:
    """About how long the case's artifact takes to make; 0 where there is one, or none is needed. `cached` as of
    `Expected`."""
    backend = backends.variants()[case.variant.name][1]
    if not isinstance(backend, ExportingBackend) or cached(f"{case.model.name}-{_owner(case)}"):
        return 0.0
    return _COSTLY_EXPORT if backend.costly else _EXPORT


def fresh_process_s(case: Case, cached: Callable[[str], bool]) -> float:
    """Likewise of the peak of memory of the case's variant, which a process of its own has."""
    if cached(f"{case.model.name}-{case.variant.name}"):
        return 0.0
    return _FRESH_PROCESS + (_COMPILE if backends.variants()[case.variant.name][1].costly else 0.0)


def _owner(case: Case) -> str:
    """The variant whose artifact a case loads."""
    variant, backend = backends.variants()[case.variant.name]
    return backend.owner(variant)[0].name if isinstance(backend, ExportingBackend) else variant.name


def cached_in(root: Path) -> Callable[[str], bool]:
    """Whether a directory of artifacts has one of a label; it may turn out to be of other weights or versions."""
    try:
        labels = {path.name.rpartition("-")[0] for path in root.iterdir() if path.is_dir()}
    except OSError:
        labels = set()
    return labels.__contains__
