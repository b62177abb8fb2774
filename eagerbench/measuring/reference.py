"""The reference of a model: eager float32. It is checked itself before anything is compared with it."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from eagerbench.backends.base import Arrays
from eagerbench.backends.torch_runner import TorchRunner, named_tensors
from eagerbench.errors import CannotRun, first_line
from eagerbench.machine import spent
from eagerbench.models.state import Snapshot
from eagerbench.outputs.tolerance import Comparison, Scale, compare, few_values, scale_of
from eagerbench.workloads.base import OneBatch
from eagerbench.workloads.vocabulary import out_of_range

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


_OTHER_SEED = 2_000_003  # added to the benchmark's own
_SCALE_ROWS = 32  # an RMS over 16 was 0.73 to 1.27 times that over 256 (a reranker of random weights)


@dataclass
class Expected:
    """What a workload must give: eager's outputs, eager's in float64, and the FLOPs of one call.

    `call_s` is filled by the first case that warms the reference up on this workload; `pretrained` and `problem_type`
    are the model's; `scales` are of outputs with few values (`Reference.scales`).
    """

    inputs: Arrays
    outputs: dict[str, np.ndarray]
    double: dict[str, np.ndarray]
    flops: int
    pretrained: bool = False
    problem_type: str | None = None
    call_s: float | None = None
    scales: dict[str, Scale] = field(default_factory=dict)

    def judge(self, outputs: Arrays, class_name: str) -> Comparison:
        """A variant's outputs on these inputs, by a tolerance class."""
        return compare(outputs, self.outputs, self.double, self.mask, class_name, self.pretrained, self.problem_type,
                       self.scales)

    @property
    def mask(self) -> np.ndarray | None:
        return self.inputs.get("attention_mask")


class Reference:
    """Eager float32 of one model. Outputs are computed once a workload, by a module that no other one has called.

    Attributes:
        remembers: names of what calls were found to change in the module; empty when every call left it as it was.
    """

    def __init__(self, model: "LoadedModel", device: str):
        self._model = model
        self._device = device
        self._expected: dict[OneBatch, Expected] = {}
        self._scales: dict[OneBatch, dict[str, Scale]] = {}
        self.remembers: list[str] = []
        self._take_fresh()

    def _take_fresh(self) -> None:
        self.runner = TorchRunner(self._model.fresh(), self._device)
        self._untouched = Snapshot(self.runner.module)

    def renew(self) -> None:
        """Have a module that is as before any call."""
        changed = self._untouched.changed(self.runner.module)
        if changed:
            self.remembers = list(dict.fromkeys([*self.remembers, *changed]))
            self._take_fresh()

    def depends_on_order(self, one: Arrays, other: Arrays) -> bool:
        """Whether a call gives other bits once the module was called with something else.

        Raises:
            CannotRun: eager fails.
        """
        self._take_fresh()
        before = self.outputs(one)
        self.outputs(other)
        after = self.outputs(one)
        self._take_fresh()
        self.outputs(other)
        reverse = self.outputs(one)
        self._take_fresh()
        return not all(np.array_equal(before[name], outputs[name], equal_nan=True)
                       for name in before for outputs in (after, reverse))

    @property
    def problem_type(self) -> str | None:
        """The config's, which says how predictions are read from logits."""
        return getattr(self._model.config, "problem_type", None)

    def expected(self, workload: OneBatch) -> Expected:
        """What a batch must give, computed at its first case."""
        if workload not in self._expected:
            with spent.during("references"):
                found = self.compute(workload.inputs(self._model))
                found.scales = self.scales(workload, found.outputs, found.mask)
            self._expected[workload] = found
        return self._expected[workload]

    def scales(self, workload: OneBatch, outputs: Arrays, mask: np.ndarray | None = None) -> dict[str, Scale]:
        """What those of the outputs that have few values are of, over other rows like the workload's, by name; nothing
        where a row alone cannot run."""
        few = few_values(outputs, mask) if hasattr(workload, "batch_size") else []
        if not few:
            return {}
        alone = replace(workload, batch_size=1)
        if alone not in self._scales:
            self._scales[alone] = {}
            with contextlib.suppress(CannotRun):
                self._scales[alone] = self._scales_over(replace(alone, seed=alone.seed + _OTHER_SEED + index)
                                                        for index in range(_SCALE_ROWS))
        return {name: self._scales[alone][name] for name in few if name in self._scales[alone]}

    def _scales_over(self, workloads: Iterable[OneBatch]) -> dict[str, Scale]:
        self.renew()
        double, single, exact = self._double(), [], []
        for workload in workloads:
            inputs = workload.inputs(self._model)
            single.append(self.outputs(inputs))
            exact.append(_in_double(double, inputs))
        self.renew()
        return {name: scale_of(*([of_row[name] for of_row in rows] for rows in (single, exact))) for name in single[0]}

    def compute(self, inputs: Arrays) -> Expected:
        """Run eager twice, in float64, and under the FLOP counter.

        Raises:
            CannotRun: eager fails, gives other bits the second time, or has no float64 twin.
        """
        found, = self.compute_all([inputs])
        return found

    def compute_all(self, batches: Iterable[Arrays], count: bool = True) -> Iterator[Expected]:
        """`compute` for one batch after another, with one float64 twin for all of them; `count`: whether with FLOPs."""
        double = None
        self.renew()
        for inputs in batches:
            outputs, flops = self._in_single(inputs, count)
            double = double or self._double()
            yield Expected(inputs, outputs, _in_double(double, inputs), flops, self._model.pretrained,
                           self.problem_type)
        self.renew()

    def _double(self) -> "DoubleRunner":
        try:
            return DoubleRunner(self._model.copy(dtype="float64"), self.runner.device)
        except Exception as error:
            raise CannotRun(f"no float64 reference: {first_line(error)}") from error

    def outputs(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Of one call in float32.

        Raises:
            CannotRun: eager fails.
        """
        try:
            return self.runner.arrays(self.runner(self.runner.prepare(inputs)))
        except Exception as error:
            raise self._failure(error, inputs) from error

    def _failure(self, error: Exception, inputs: Arrays) -> CannotRun:
        """An index error names no index: beside it what may be out of range."""
        where = out_of_range(self._model, inputs) if "out of range" in str(error) or "padding" in str(error) else ""
        return CannotRun(f"the reference fails: {first_line(error)}{where and f' ({where})'}")

    def _in_single(self, inputs: Arrays, count: bool) -> tuple[dict[str, np.ndarray], int]:
        """Outputs in float32, and the FLOPs of a call, 0 where they are not counted."""
        try:
            native = self.runner.prepare(inputs)
            outputs = self.runner.arrays(self.runner(native))
            again = self.runner.arrays(self.runner(native))
            flops = self._flops(native) if count else 0
        except Exception as error:
            raise self._failure(error, inputs) from error
        if not outputs:
            raise CannotRun("eager gives no tensor: nothing to compare with")
        changed = [name for name in outputs if not np.array_equal(outputs[name], again[name], equal_nan=True)]
        if changed:
            raise CannotRun(f"eager gives different bits when called again in {', '.join(changed)}: nothing to compare "
                            "with")
        return outputs, flops

    def _flops(self, native: Any) -> int:
        with FlopCounterMode(display=False) as counter:  # its mode changes the order of sums: outputs unused
            self.runner(native)
        return counter.get_total_flops()


class DoubleRunner(TorchRunner):
    """Keeps float64 outputs as they are."""

    def arrays(self, outputs):
        return {name: tensor.double().cpu().numpy() for name, tensor in named_tensors(outputs).items()}


def _in_double(runner: DoubleRunner, inputs: Arrays) -> dict[str, np.ndarray]:
    wide = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in inputs.items()}
    try:
        return runner.arrays(runner(runner.prepare(wide)))
    except Exception as error:
        raise CannotRun(f"no float64 reference: {first_line(error)}") from error
