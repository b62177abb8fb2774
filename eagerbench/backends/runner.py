"""The interface of a built variant: arrays in, arrays out, and evidence that its optimisation ran."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Engagement:
    """Evidence that the optimisation ran. `summary` is one line for people, `facts` flat JSON for the record."""

    engaged: bool
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Runner(Protocol):
    """A built variant. Only `__call__` is timed."""

    def prepare(self, inputs: Arrays) -> Any:
        """Inputs as this backend's users hold them (tensors, numpy arrays), on the device."""

    def __call__(self, native: Any) -> Any:
        """One forward pass, device work finished on return."""

    def arrays(self, outputs: Any) -> dict[str, np.ndarray]:
        """Named float32 arrays of what a call returned."""

    @property
    def threads(self) -> int:
        """Intra-op threads in effect, read back from the runtime."""
