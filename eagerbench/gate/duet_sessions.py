"""How pairs are run, and what their sessions find: data of `duet_pair` and its helpers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Sessions:
    """What sessions have found, also when one of them is lost on the way.

    Attributes:
        turns: median round of each turn, seconds, by benchmark and side.
        failed: reason by benchmark.
        lost: those of them that cost a side, and how it was lost.
        restarts: how often sessions were started again for the benchmarks that were left.
        cores: that both sides took their turns on, by benchmark, where they are not all.
        overrun: a sentence by benchmark, where turns took five times the planned seconds.
        machine_info: as pytest-benchmark describes the machine.
        models: what a benchmark was run on (`sameness.FIELDS` that are known), by side and benchmark.
        spent: where the time of a side went, in seconds by part (`machine.spent`).
    """

    turns: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    cores: dict[str, list[int]] = field(default_factory=dict)
    overrun: dict[str, str] = field(default_factory=dict)
    machine_info: dict[str, Any] = field(default_factory=dict)
    models: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    spent: dict[str, dict[str, float]] = field(default_factory=dict)

    def note_spent(self, side: str, seconds: Mapping[str, float]) -> None:
        """Add those of a session."""
        so_far = self.spent.setdefault(side, {})
        so_far.update({part: so_far.get(part, 0.0) + value for part, value in seconds.items()})


@dataclass(frozen=True)
class Plan:
    """How pairs are run.

    Attributes:
        arguments: of pytest.
        only: benchmarks to run; empty for all. Controls always run.
        allocator: what both sides must have in effect.
        seed: of the order inside turns.
        design: turns or abba.
        turns: most turns of each side in a benchmark.
        time_out_s: how long a side may be silent when it is due to speak.
        logs: directory for what the sessions print.
    """

    arguments: list[str]
    only: tuple[str, ...]
    allocator: str
    seed: int
    design: str
    turns: int
    time_out_s: float
    logs: Path
