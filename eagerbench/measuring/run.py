"""One case while it is measured: times its calls, judges their outputs, then completes the record."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any

from eagerbench.errors import NotEngaged, WrongOutput
from eagerbench.measuring import recording
from eagerbench.measuring.timing import Timing, accept, in_turns, time_alone, time_pairs
from eagerbench.measuring.turns import seconds_of
from eagerbench.results import record as records
from eagerbench.results.bad_record import checked
from eagerbench.results.record import Record

if TYPE_CHECKING:
    from eagerbench.backends.base import Arrays
    from eagerbench.backends.building import Built
    from eagerbench.case import Case
    from eagerbench.measuring.disturbance import Conditions
    from eagerbench.measuring.gpu_observer import GpuObserver
    from eagerbench.measuring.session import Session
    from eagerbench.measuring.turns import Call
    from eagerbench.outputs.tolerance import Comparison


class Run(ABC):
    """A subclass an experiment. A perf test asks it for calls, times them by `in_turns` or `alone`, and ends with
    `finish`.

    Args:
        session: what measures, of which a run uses what it needs.
        benchmark: the pytest-benchmark fixture of the test.

    Attributes:
        judged: whether the timed outputs were found right.
        finished: whether `finish` got to its end.
        record_type: its experiment's, which the record is checked against.
        conditions: what the machine did meanwhile, from the end of the timing on; `complete` may replace them where
            the time that was taken here is not the result.
    """

    judged = finished = False
    record_type: type[Record]
    conditions: "Conditions"

    def __init__(self, session: "Session", benchmark: Any, case: "Case", built: "Built"):
        self.session = session
        self.benchmark = benchmark
        self.case = case
        self.built = built
        self.work = case.workload
        self.model = session.models.model(case.model)
        self.reference = session.models.reference(case.model)
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Make inputs, and what they must give.

        Raises:
            CannotRun: there is nothing to judge by.
        """

    @property
    @abstractmethod
    def inputs(self) -> "Arrays":
        """Named arrays of a call that is timed (of a pass the first one): the probe makes it again."""

    def called(self) -> "Iterator[Arrays]":
        """Inputs of timed calls, among them those of every kind of size."""
        yield self.inputs

    @abstractmethod
    def judge(self, timing: Timing) -> "Comparison":
        """What the last timed call returned, against the reference."""

    @abstractmethod
    def complete(self, timing: Timing) -> Record:
        """The record, once outputs are right and the optimisation is engaged. Here, and only here, processes of their
        own may start, and what they return is judged.

        Raises:
            WrongOutput, CannotRun: of such a process.
        """

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make()` gives, made once for all variants of the model: it depends on `key` alone."""
        return self.session.models.memo.once(key, make)

    def in_turns(self, call: "Call", reference: "Call", reference_s: float | None = None,
                 observer: "GpuObserver | None" = None, budget_s: float | None = None) -> Timing:
        """Time a call in turns with its reference; in a duet with the other commit's process instead."""
        budget_s = self.session.selection.time_budget if budget_s is None else budget_s
        return in_turns(self.session.partner, self.benchmark, self.case.bench_id, call, reference, budget_s,
                        reference_s, observer, self.session.entered)

    @property
    def reference_key(self) -> Hashable:
        """Of what the reference is called with, in `in_pairs`."""
        return self.work

    def in_pairs(self, call: "Call", reference: "Call", pairs: int) -> Timing:
        """Time a call in so many pairs of turns with its reference; in a duet with the other commit's process instead.
        """
        if self.session.partner is not None:
            return self.in_turns(call, reference)
        reference_s = self.once((self.reference_key, "seconds"), lambda: seconds_of(reference))
        return time_pairs(self.benchmark, call, reference, pairs, reference_s)

    @property
    def series_budget(self) -> float:
        """Seconds of a case that is one of many, as in `Selection`."""
        return self.session.selection.series_budget

    def alone(self, call: "Call", rounds: int | None = None, again: bool = True,
              budget_s: float | None = None) -> Timing:
        """Time a call without a reference beside it; see `timing.time_alone`."""
        budget_s = self.series_budget if budget_s is None else budget_s
        return time_alone(self.benchmark, call, budget_s, rounds, again, self.session.entered)

    def finish(self, timing: Timing) -> None:
        """Judge, prove, and record; nothing is kept of a case that does not get to the end of it.

        Raises:
            WrongOutput, NotEngaged, CannotRun.
            BadRecord: of what was measured none can be made that others could read.
        """
        self.session.measured_s += timing.spent_s
        self.timing, self.conditions = timing, timing.conditions
        self.session.entered("judging")
        comparison = self.judge(timing)
        if comparison.failures:
            raise WrongOutput(f"{self.case.bench_id}: output differs from eager beyond {self.case.variant.tolerance}: "
                              + "; ".join(comparison.failures))
        self.judged = True
        self.session.entered("probing")
        engagement = self.built.backend.probe(self.case.variant, self.built.runner, self.inputs)
        if not engagement.engaged:
            raise NotEngaged(f"{self.case.bench_id}: not engaged: {engagement.summary}")
        self.comparison, self.engagement = comparison, engagement
        if self.session.partner is not None:
            self.session.partner.describe(records.to_json(self.identity()))
        elif self.benchmark.enabled:
            self.session.entered("recording")
            self.benchmark.extra_info.update(checked(self.complete(timing), self.record_type))
        self.finished = True
        accept(self.benchmark)

    def identity(self) -> records.Identity:
        return recording.identity(self.case, self.model, self.built.runner.threads, self.session.allocator)

    def assembled(self, record_type: type[Record], workload: records.Part, timing: records.Timing,
                  result: records.Part, **topics: Any) -> Record:
        """A record of this run. `topics` replace those that are made here as most experiments have them."""
        return record_type(**{
            "identity": self.identity(), "workload": workload, "timing": timing, "result": result,
            "correctness": recording.correctness(self.case, self.comparison),
            "engagement": recording.engagement(self.engagement),
            "costs": recording.costs(self.built, self.model, self.timing.first_call_s),
            "conditions": self.conditions.record(), **topics})
