"""What is shipped to be checked: inputs, the variant's own outputs, and how far another machine's may be off."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.backends.runner import Arrays, Runner
from eagerbench.outputs.places import set_apart
from eagerbench.outputs.tolerance import CLASSES
from eagerbench.packaging.manifest import Tolerance
from eagerbench.workloads import workload
from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

MOST_BYTES = 16 * 2**20  # of the shipped outputs
# Of classes without a bound for single values, in units of the RMS: another processor's kernels round 8 bits otherwise.
_COARSE = {"quantised": (0.05, 0.5), "quantised-coarse": (0.05, 1.0)}


@dataclass(frozen=True)
class Checked:
    """Named arrays of a call, and the batch that made its inputs."""

    batch: OneBatch
    inputs: Arrays
    outputs: Mapping[str, np.ndarray]


def checked(model: "LoadedModel", runner: Runner, batch: OneBatch) -> Checked:
    """A call on the batch, or on a smaller one where its outputs are larger than MOST_BYTES."""
    while True:
        inputs = batch.inputs(model)
        outputs = called(runner, inputs)
        shape = batch.batch_size, batch.sequence_length
        smaller = smaller_shape(*shape)
        if sum(array.nbytes for array in outputs.values()) <= MOST_BYTES or smaller == shape:
            return Checked(batch, inputs, outputs)
        batch = workload(model.spec, *smaller, model.spec.seed)


def smaller_shape(batch_size: int, length: int) -> tuple[int, int]:
    """Half of the rows; of one row, half of its length, down to 8."""
    return (batch_size // 2, length) if batch_size > 1 else (1, max(min(length, 8), length // 2))


def called(runner: Runner, inputs: Arrays) -> dict[str, np.ndarray]:
    """What the runner's users get."""
    return runner.arrays(runner(runner.prepare(inputs)))


def tolerance(class_name: str, outputs: Mapping[str, np.ndarray]) -> Tolerance:
    """By the class; `atol` of the output with the smallest values."""
    bounds = CLASSES[class_name]
    rtol, atol = _COARSE.get(class_name) or (bounds.rtol, bounds.atol)
    return Tolerance(rtol=rtol, atol=float(f"{atol * min(map(_rms, outputs.values())):.3g}"))


def _rms(array: np.ndarray) -> float:
    values = array[~set_apart(array)].astype(np.float64)
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 1.0


def write(directory: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A little-endian, C-contiguous .npy file for each."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        whole = np.ascontiguousarray(array)
        np.save(directory / f"{name}.npy", whole.astype(whole.dtype.newbyteorder("<")))
