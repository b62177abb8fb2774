"""What turns on a GPU leave beside their wall times: the device's own times, and its clocks after each turn."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from eagerbench.machine import gpu_facts
from eagerbench.machine.device_clock import DeviceClock
from eagerbench.machine.gpu_facts import FIELDS, GpuFacts
from eagerbench.results import record

SIDES = ("variant", "reference")


class GpuObserver:
    """Asked by `Turns` after each round and each turn, outside of what is timed.

    Args:
        runners: the variant's and the reference's, by SIDES. One that does not launch its work through torch, or a
            side of several calls (None), has no device times.
        clock: makes the marks for a runner.
        facts: of the GPU.
    """

    def __init__(self, runners: dict[str, Any], clock: Callable[[], Any], facts: GpuFacts):
        self._runners = runners
        self._facts = facts
        self._clocks = {side: clock() for side, runner in runners.items() if hasattr(runner, "clock")}
        self.begin()

    def begin(self) -> None:
        self._turn: dict[str, list[float]] = {side: [] for side in SIDES}
        self._turns: dict[str, list[list[float]]] = {side: [] for side in SIDES}
        self._read: list[dict[str, Any]] = []

    @contextmanager
    def watching(self) -> Iterator["GpuObserver"]:
        """Have the runners set their marks."""
        for side, clock in self._clocks.items():
            self._runners[side].clock = clock
        try:
            yield self
        finally:
            for side in self._clocks:
                self._runners[side].clock = None

    def before_turn(self) -> None:
        """Nothing: clocks are read after a turn, while they are those of work."""

    def after_round(self, side: str) -> None:
        if side in self._clocks:
            self._turn[side].append(self._clocks[side].seconds())

    def after_turn(self, side: str, pair: int, rounds: int) -> None:
        self._turns[side].append(self._turn[side])
        self._turn[side] = []
        self._read.append(self._facts.read())

    def record(self) -> record.Gpu:
        """As a topic of the record. The clocks and their like have an entry a turn: reference, variant, reference, …"""
        found: dict[str, Any] = {}
        for side, prefix in zip(SIDES, ("", "reference_"), strict=True):
            rounds = [seconds for turn in self._turns[side] for seconds in turn]
            found[f"{prefix}device_s"] = median(rounds) if rounds else None
            found[f"{prefix}device_turns_s"] = [median(turn) for turn in self._turns[side] if turn]
        if "variant" not in self._clocks:
            found["device_s_missing"] = "no launches through torch, or several calls a round"
        found |= {f"gpu_{name}": [one[name] for one in self._read] for name in FIELDS}
        return record.Gpu(**found, gpu_facts_missing=self._facts.missing)


def observer(device: str, variant: Any, reference: Any) -> GpuObserver | None:
    """Of two runners on a GPU; None on the CPU."""
    if device == "cpu":
        return None
    return GpuObserver({"variant": variant, "reference": reference}, lambda: DeviceClock(device),
                       gpu_facts.of(device))
