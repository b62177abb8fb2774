"""Workload: a batch of images for models of the ViT kind."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


@dataclass(frozen=True)
class ImageBatch(OneBatch):
    """`batch_size` normalised images, drawn from `seed`.

    Attributes:
        image: (channels, height = width, patch size) in pixels.
    """

    batch_size: int
    image: tuple[int, int, int]
    seed: int = 0

    @property
    def sequence_length(self) -> int:
        """Patches of an image, each a token of the encoder."""
        _, size, patch = self.image
        return (size // patch) ** 2

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", f"i{self.image[1]}"

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """`pixel_values`, float32 of shape (batch_size, channels, height, width), mean 0 and variance 1."""
        channels, size, _ = self.image
        rng = np.random.default_rng([self.seed, self.batch_size, size])
        pixels = rng.standard_normal((self.batch_size, channels, size, size), np.float32)
        return {"pixel_values": pixels}
