"""Which axes of inputs and outputs change with the batch size and the length: found by examples of other sizes.

Nothing is read from the number of axes or their order: a model of three axes may take (batch, length, features) or
(length, batch, features), an image, or features whose length is fixed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from eagerbench.backends.base import Arrays
from eagerbench.backends.torch_runner import TorchRunner, named_tensors
from eagerbench.workloads import export_example, workload

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

Axes = dict[str, dict[int, str]]
Shapes = Mapping[str, tuple[int, ...]]


def examples(model: "LoadedModel") -> tuple[Arrays, Arrays, Arrays]:
    """Inputs as exports are made with, of more rows, and of another length (a shorter one: longer may be too long)."""
    batch = export_example(model.spec)
    rows, length = batch.batch_size, min(11, model.spec.max_length or 11)
    sizes = (rows, length), (rows + 2, length), (rows, max(1, length - 3))
    base, wider, other = (workload(model.spec, *size, model.spec.seed).inputs(model) for size in sizes)
    return base, wider, other


def one_of(kind: str, model: "LoadedModel", example: Arrays) -> Arrays:
    """The first row (`batch`) or position (`sequence`) of an example, whichever axis that is."""
    axes = dynamic_axes(model)
    return {name: array[tuple(slice(1) if axes[name].get(axis) == kind else slice(None)
                              for axis in range(array.ndim))] for name, array in example.items()}


def dynamic_axes(model: "LoadedModel") -> Axes:
    """For each input its axes of no fixed size, with a name: `batch`, `sequence`, or one of its own for an axis that is
    neither as large as the batch nor as the length (samples of a waveform, say). Equal names are equal sizes."""
    return changing([shapes_of(inputs) for inputs in examples(model)])


def output_axes(model: "LoadedModel") -> Axes:
    """The same for outputs; nothing for a model that takes no other sizes (more than one row, say)."""
    runner = TorchRunner(model.fresh(), model.device)
    try:
        return changing([shapes_of(named_tensors(runner(runner.prepare(inputs)))) for inputs in examples(model)])
    except Exception:  # whatever the model's own code raises: the exporter then infers what it can
        return {}


def shapes_of(arrays: Mapping) -> Shapes:
    return {name: tuple(array.shape) for name, array in arrays.items()}


def changing(shapes: Sequence[Shapes]) -> Axes:
    """Axes in which shapes differ from one another.

    Args:
        shapes: of the examples: as exported, with more rows, of another length.

    Raises:
        ValueError: other sizes have other names, or another number of axes.
    """
    kinds = [{name: len(shape) for name, shape in of_one.items()} for of_one in shapes]
    if any(kind != kinds[0] for kind in kinds):
        raise ValueError(f"another size has other names or axes: {', '.join(map(str, shapes))}")
    found: Axes = {}
    for name in shapes[0]:
        sizes = enumerate(zip(*(of_one[name] for of_one in shapes), strict=True))
        found[name] = {axis: _name(size) for axis, size in sizes if len(set(size)) > 1}
    return found


def _name(sizes: tuple[int, ...]) -> str:
    """Of an axis by its size in each example: 3, 5, 3 (images: 5, 7, 5) is the batch's, 11, 11, 8 the length's."""
    base, wider, other = sizes
    if wider == base + 2 and other == base:
        return "batch"
    if wider == base and other == base - 3:
        return "sequence"
    return "size_" + "_".join(map(str, sizes))
