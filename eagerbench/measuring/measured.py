"""What timing a case leaves to be judged and recorded: what every method of an experiment returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from eagerbench.backends.base import Arrays
from eagerbench.measuring.disturbance import Conditions
from eagerbench.outputs.tolerance import Comparison


@dataclass(frozen=True)
class Measured:
    """The result of a method, before it counts.

    Attributes:
        comparison: outputs of the timed calls against the reference.
        probe_inputs: inputs of a call that was timed, for the probe.
        first_call_s: seconds of the first call.
        spent_s: seconds inside calls.
        fields: the experiment's own fields of the record, made when the outputs matched and the probe was engaged;
            None when benchmarks are disabled.
        conditions: what the machine did meanwhile, where the time is the result.
    """

    comparison: Comparison
    probe_inputs: Arrays
    first_call_s: float
    spent_s: float
    fields: Callable[[], dict[str, Any]] | None
    conditions: Conditions = field(default_factory=lambda: Conditions([]))
