"""Benchmarks at which a side was lost: each costs itself only, and a duet remembers them from pair to pair."""

from collections.abc import Callable
from dataclasses import dataclass, field

from eagerbench.gate.duet_sessions import Sessions
from eagerbench.gate.duet_side import SideFailed

MOST_SILENT = 3  # sides in a pair that may be waited for in vain: each costs the whole time-out
TRIES = 2  # pairs of an arm that may lose a side at a benchmark: so many make it broken (`judge`)


@dataclass
class Lost:
    """What a duet's pairs have lost.

    Attributes:
        reasons: how a side was lost at a benchmark, by arm and benchmark, one a pair.
        base_alone: how base fails at a benchmark by itself, at which head was lost; empty where it does not.
    """

    reasons: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    base_alone: dict[str, str] = field(default_factory=dict)

    def given_up(self, arm: str) -> dict[str, str]:
        """Why a benchmark is not tried in another pair of this arm."""
        return {bench_id: f"not tried in this pair: {reasons[-1]}" for (of, bench_id), reasons in self.reasons.items()
                if of == arm and len(reasons) >= TRIES}

    def note(self, arm: str, found: Sessions, base_alone: Callable[[str], str]) -> None:
        """Note what a pair has lost. Where it was head, base is tried alone: it may fail there too, and head's turn
        came first.

        Args:
            base_alone: how base fails at a benchmark by itself.
        """
        for bench_id, reason in found.lost.items():
            if arm == "head" and reason.startswith("head"):
                if bench_id not in self.base_alone:
                    self.base_alone[bench_id] = base_alone(bench_id)
                if self.base_alone[bench_id]:
                    found.failed[bench_id] = f"{self.base_alone[bench_id]}; {reason}"
            self.reasons.setdefault((arm, bench_id), []).append(found.failed[bench_id])


def one_by_one(sessions: Callable[[set[str]], SideFailed | None], over: set[str], found: Sessions) -> None:
    """Run sessions until no benchmark is left: after a side was lost at one, the others run in new sessions.

    Args:
        sessions: runs what is not in the set of benchmarks that are over, and adds to it what it runs; returns how a
            side was lost where benchmarks are left.
        over: benchmarks that are not to run.

    Raises:
        SideFailed: a side was lost outside of a benchmark, or the last of MOST_SILENT.
    """
    silent = 0
    while (lost := sessions(over)) is not None:
        silent += lost.silent
        if silent >= MOST_SILENT:
            raise lost
        found.restarts += 1
