"""The experiments: each module of this package with an `EXPERIMENT` is one."""

from importlib import import_module
from pkgutil import iter_modules

from eagerbench.experiments.base import Bars, Dots, Experiment, Plot

__all__ = ["EXPERIMENTS", "Bars", "Dots", "Experiment", "Plot"]


def _found() -> dict[str, Experiment]:
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    found = [module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")]
    return {experiment.name: experiment for experiment in sorted(found, key=lambda experiment: experiment.place)}


EXPERIMENTS = _found()
