"""What Python costs: a call from Python, in turns with the same call from C++ on the same artifact."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from eagerbench import backends
from eagerbench.backends.cpp_runner import CppBackend
from eagerbench.errors import CannotRun
from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.machine import quiet
from eagerbench.measuring import recording
from eagerbench.measuring.one_batch import OneBatchRun, called
from eagerbench.measuring.run import Run
from eagerbench.measuring.turns import seconds_of
from eagerbench.models.specs import ModelSpec
from eagerbench.results.grid import Grid, interval
from eagerbench.results.numbers import milliseconds, times
from eagerbench.results.record import Batch, CallSeconds, InTurns, Part, Positive, Record, Seconds, Text
from eagerbench.workloads.base import OnBatch, OneBatch
from eagerbench.workloads.processes import batches

if TYPE_CHECKING:
    from eagerbench.measuring.timing import Timing
    from eagerbench.measuring.turns import Call
    from eagerbench.selection import Selection

# (batch size, sequence length)
GRIDS = {"smoke": ((1, 16),), "default": ((1, 16), (1, 128), (8, 128)), "full": ((1, 16), (1, 128), (8, 128))}


@dataclass(frozen=True)
class CalledTwice(OnBatch):
    """One batch, on which a variant is called from C++ and from Python."""

    batch: OneBatch

    def refuses(self, spec, variant, backend):
        if not isinstance(backend, CppBackend):
            return "is not called from C++; name one that is, such as --variant openvino-cpp"
        return super().refuses(spec, variant, backend)


def workloads(spec: ModelSpec, selection: "Selection") -> list[CalledTwice]:
    """None where no variant in C++ was asked for."""
    asked = [backends.variants()[name][1] for name in selection.variants] if selection.every_variant else []
    if not any(isinstance(backend, CppBackend) for backend in asked):
        return []
    return [CalledTwice(batch) for batch in batches(spec, selection, GRIDS[selection.grid])]


class Result(Part, kw_only=True):
    """`python_cost`: seconds of the Python variant's call over those of the call in C++, with its 95 % interval. Loads
    are of the artifact, without the imports and the start of the process; first calls are the first after it."""

    python_variant: Text
    python_cost: Positive
    python_cost_low: Positive | None
    python_cost_high: Positive | None
    call_s: CallSeconds
    python_call_s: CallSeconds
    cpp_load_s: Seconds
    python_load_s: Seconds
    python_first_call_s: Positive


PythonRecord = Record[Batch, InTurns, Result]


class PythonRun(OneBatchRun):
    """`call` is the call from C++, `python` that of the Python variant on the same artifact, in this process. Both are
    loaded for this case, so that first calls are the first after a load."""

    def prepare(self) -> None:
        super().prepare()
        load = self.case.variant, self.built.directory, self.session.selection.placement
        self.built = replace(self.built, runner=self.built.backend.load(*load))
        start = time.perf_counter()
        self._runner = self.built.backend.python_runner(*load)
        self._load_s = quiet.elapsed(start)
        if self._runner.threads != self.built.runner.threads:
            raise CannotRun(f"{self._runner.threads} threads in Python, {self.built.runner.threads} in C++")

    def python(self, inputs) -> "Call":
        return called(self._runner, inputs)

    def in_turns(self, call: "Call", reference: "Call", **how: Any) -> "Timing":
        """The reference is not eager: it is warmed up here."""
        self._python = reference
        self._first_call_s = seconds_of(reference)
        return Run.in_turns(self, call, reference, **how)

    def judge(self, timing):
        """Judge both sides: a ratio of wrong outputs means nothing."""
        in_cpp = super().judge(timing)
        outputs = self._runner.arrays(self._python())
        in_python = self.expected.judge(outputs, self.case.variant.tolerance)
        return replace(in_cpp, failures=(*in_cpp.failures, *(f"in Python: {line}" for line in in_python.failures)))

    def complete(self, timing: "Timing") -> PythonRecord:
        return self.assembled(PythonRecord, self.batch, recording.in_turns(timing), self._result(timing))

    def _result(self, timing: "Timing") -> Result:
        ratio, backend = recording.ratio_of(timing), self.built.backend
        return Result(python_variant=backend.twin(self.case.variant).name, python_cost=ratio.value,
                      python_cost_low=ratio.low, python_cost_high=ratio.high, call_s=median(timing.rounds),
                      python_call_s=median(timing.turns.reference_rounds), cpp_load_s=self.built.runner.load_s,
                      python_load_s=self._load_s, python_first_call_s=self._first_call_s)


def tables(model: str, records: Sequence[PythonRecord]) -> list[Grid]:
    rows = [[record.identity.variant, record.identity.workload, _cost(record), milliseconds(record.result.call_s),
             milliseconds(record.result.python_call_s), *_twice(record.result.cpp_load_s, record.result.python_load_s),
             *_twice(record.costs.first_call_s, record.result.python_first_call_s)] for record in records]
    header = ["variant", "batch", "what Python costs", "call in C++", "in Python", "load in C++", "in Python",
              "first call in C++", "in Python"]
    note = ("Time of a call in Python, divided by that in C++ on the same artifact, in turns, with the 95 % interval; "
            "1: Python is free. Each side times its own call. Load: of the artifact, without imports and the start of "
            "the process; first call: after it.")
    return [Grid(f"{model}: what Python costs", header, rows, note)]


def _twice(*seconds: float) -> tuple[str, ...]:
    return tuple(map(milliseconds, seconds))


def _cost(record: PythonRecord) -> str:
    found = record.result
    return f"{found.python_cost:.3f}{interval(found.python_cost_low, found.python_cost_high)}"


def headline(record: PythonRecord) -> str:
    found = record.result
    return f"Python costs {times(found.python_cost)}{interval(found.python_cost_low, found.python_cost_high)}"


def rank(record: PythonRecord) -> float:
    return -record.result.call_s


def number(record: PythonRecord) -> Number:
    found = record.result
    return found.python_cost, found.python_cost_low, found.python_cost_high


EXPERIMENT = Experiment("python", 10, "How much longer does a call from Python take than one from C++?", workloads,
                        PythonRun, PythonRecord, tables, headline, rank,
                        Dots(number, "times the call in C++", "1 means that Python is free. Right of the line the call "
                             "from Python takes longer. Bars: 95 % intervals.", most=False, log=True, line=1.0),
                        wants="name variants that are called from C++, such as --variant '*-cpp'")
