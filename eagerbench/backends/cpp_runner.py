"""What the C++ variants share: a runner in a process of its own, and the backend that loads a Python variant's artifact
into it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from eagerbench.backends.base import Engagement, ExportingBackend, Placement, Runs, Variant
from eagerbench.cpp import build
from eagerbench.cpp.process import Prepared, RunnerProcess

SUFFIX = "-cpp"  # behind the name of the Python variant


class CppRunner:
    """Arrays in, arrays out, by a runner in C++, which times its own calls.

    Args:
        variant: its name.
        runtime: a key of `cpp.build.RUNTIMES`.
        config: `runner.txt`, without the runtime and its version.

    Attributes:
        load_s: seconds of loading the artifact, by the runner's own clock.
    """

    device = "cpu"

    def __init__(self, variant: str, runtime: str, config: Mapping[str, object]):
        self._variant, self._runtime = variant, runtime
        self._config = {"runtime": runtime, **config}
        self._process = self.another()
        self.load_s = int(self._process.said["load_ns"]) / 1e9

    def another(self, environment: Mapping[str, str] | None = None, **config: object) -> RunnerProcess:
        """A process with the same settings and some others: one that logs or profiles, while the timed one does not."""
        return RunnerProcess(self._variant, build.runner(self._runtime), {**self._config, **config}, environment)

    def prepare(self, inputs) -> Prepared:
        return self._process.prepare(inputs)

    def __call__(self, native: Prepared) -> RunnerProcess:
        self._process.call(native.number)
        return self._process

    def arrays(self, outputs: RunnerProcess) -> dict[str, np.ndarray]:
        """Of the last call: the next one overwrites them."""
        return {name: np.asarray(array, np.float32) for name, array in outputs.outputs().items()}

    def facts(self) -> list[dict[str, str]]:
        return self._process.facts()

    @property
    def threads(self) -> int:
        return int(self._process.said["threads"])

    @property
    def version(self) -> str:
        return self._process.said["version"]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def libraries(self) -> set[Path]:
        return self._process.libraries()


class CppBackend(ExportingBackend):
    """The variants of a Python backend with their calls in C++: the same artifact, options, threads and allocator.

    `python` is that backend, `runtime` the runner of its artifacts.
    """

    devices = ("cpu",)
    costly = True
    own_process = True
    python: ClassVar[ExportingBackend]
    runtime: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.packages, cls.install = cls.python.packages, cls.python.install
        cls.variants = tuple(replace(variant, runs=Runs.WHEN_NAMED) for variant in cls.variants)

    def twin(self, variant: Variant) -> Variant:
        """The Python variant of the same name."""
        return next(one for one in self.python.variants if one.name == variant.name.removesuffix(SUFFIX))

    def unavailable(self, variant, device):
        return (super().unavailable(variant, device) or self.python.unavailable(self.twin(variant), device)
                or build.missing(self.runtime))

    def refuses(self, variant, placement):
        return super().refuses(variant, placement) or self.python.refuses(self.twin(variant), placement)

    def owner(self, variant):
        return self.twin(variant), self.python

    def make_ready(self, variant):
        build.runner(self.runtime)

    def export(self, variant, model, example, directory):
        return self.python.export(self.twin(variant), model, example, directory)

    def python_runner(self, variant: Variant, directory: Path, placement: Placement) -> Any:
        """The Python variant's runner of the same artifact."""
        return self.python.load(self.twin(variant), directory, placement)

    def build_disengaged(self, variant, model, example, placement):
        """In Python."""
        return self.python.build_disengaged(self.twin(variant), model, example, placement)

    def cannot_generate(self, variant, cache):
        return "generate() is Python's: the runner in C++ takes one batch a call"

    def probe(self, variant, runner, inputs):
        """Engaged when the calls run in a process that has the runtime's library and no Python in it, and when what the
        Python variant's own probe looks for is there."""
        if not isinstance(runner, CppRunner):
            return Engagement(False, f"a {type(runner).__name__} in Python")
        runner.arrays(runner(runner.prepare(inputs)))
        found = self.evidence(variant, runner, inputs)
        names = {path.name for path in runner.libraries}
        library = any(name.startswith(build.RUNTIMES[self.runtime].library) for name in names)
        python = any(name.startswith(("libpython", "python")) for name in names)
        facts = {"runtime_version": runner.version, "python_in_process": python, **found.facts}
        where = f"in C++ on {self.runtime} {runner.version}{', with Python in the process' if python else ''}"
        return Engagement(found.engaged and library and not python, f"{where}; {found.summary}", facts)

    def evidence(self, variant: Variant, runner: CppRunner, inputs: Any) -> Engagement:
        """Of the optimisation, as the Python variant's probe has it, from a runner that was called."""
        return self.python.probe(self.twin(variant), runner, inputs)
