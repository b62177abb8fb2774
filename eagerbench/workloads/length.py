"""Workload: batches without padding, of growing length."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from eagerbench.models.specs import ModelSpec
from eagerbench.workloads.base import text_only
from eagerbench.workloads.padded_batch import PaddedBatch

if TYPE_CHECKING:
    from eagerbench.selection import Selection

# Batch sizes and sequence lengths of a grid.
GRIDS = {
    "smoke": ((1,), (8, 32)),
    "default": ((1,), (16, 64, 256)),
    "full": ((1, 32), (8, 16, 32, 64, 128, 256, 384, 512)),
}


@dataclass(frozen=True)
class FullBatch(PaddedBatch):
    """Rows that are all as long as the batch is wide.

    Attributes:
        rebuilds: whether a variant whose build serves one shape is built anew for it.
    """

    full: bool = True
    rebuilds: bool = False

    def refuses(self, spec, variant, backend):
        if backend.per_workload and not self.rebuilds:
            return "needs a build for each length; add --grid full"
        return text_only(spec) or super().refuses(spec, variant, backend)


def length_batches(spec: ModelSpec, selection: "Selection") -> list[FullBatch]:
    """Each length at each batch size, the longest last: its record has the fit. Only the full grid pays for a build
    a length."""
    batch_sizes, lengths = GRIDS[selection.grid]
    batch_sizes, lengths = selection.batch_sizes or batch_sizes, sorted(selection.sequence_lengths or lengths)
    return [FullBatch(size, length, selection.seed, rebuilds=selection.grid == "full")
            for size, length in product(batch_sizes, lengths)]
