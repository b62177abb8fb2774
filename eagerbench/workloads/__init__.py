"""Workloads: what a variant is called with."""

from typing import TYPE_CHECKING

from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.audio_batch import audio_batch
from eagerbench.workloads.base import OneBatch
from eagerbench.workloads.image_batch import ImageBatch
from eagerbench.workloads.padded_batch import PaddedBatch

if TYPE_CHECKING:
    from eagerbench.selection import Selection


def workload(spec: ModelSpec, batch_size: int, sequence_length: int, seed: int = 0) -> OneBatch:
    """The batch that a model takes: images and log-mel features have no choice of length."""
    if spec.image is not None:
        return ImageBatch(batch_size, spec.image, seed)
    if spec.audio is not None:
        return audio_batch(spec.audio, batch_size, sequence_length, seed)
    return PaddedBatch(batch_size, sequence_length, seed)


def export_example(spec: ModelSpec) -> OneBatch:
    """What a model is exported with: odd sizes, which few layers have, so that an exporter can tell which axes are
    dynamic. Not three images: that is the number of their channels; no longer than the model takes."""
    return workload(spec, 3 if spec.image is None else 5, min(11, spec.max_length or 11))


def latency(spec: ModelSpec, selection: "Selection") -> list[OneBatch]:
    """Padded batches (images of the model's own size), from small to large."""
    shapes = sorted(selection.shapes, key=lambda shape: shape[0] * shape[1])
    return [workload(spec, *shape, selection.seed) for shape in shapes]
