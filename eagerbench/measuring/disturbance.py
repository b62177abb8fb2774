"""Whether other work disturbed a case's turns: all thresholds with their sources, and the verdict.

A core that another process takes shows in the turn itself: threads that could run wait for it, a hypervisor takes
it away, or a quota stops them. docs/busy-machine.md has the quiet and busy runs that the numbers come from.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eagerbench.machine.readings import TICK_S, Counters, Reading
from eagerbench.results import record
from eagerbench.shown import count

# Share of a turn for which this process's threads together waited for a core or had none. Quiet, 2 threads: median
# 0.004, 5 of 268 turns above 0.10; with a core or two busy at least 0.37 in all of 286 (docs/busy-machine.md).
MOST_LOST = 0.10
# Share of a turn's rounds that a pause by a CPU quota may hit: the median of the others is still that of quiet ones.
MOST_PAUSED = 0.2
# Share of a case's pairs that may be disturbed: the estimate is a median of pairs, and hardly moves by fewer.
MOST_PAIRS = 0.2
# Cores of other processes from which on the header warns before the start.
BUSY_CORES = 0.3
MOST_REPEATS = 2
OVERRUN = 5  # times the planned seconds
ACCEPT = "EAGERBENCH_DISTURBED"


@dataclass(frozen=True)
class Turn:
    """What happened during one turn, its untimed call included; seconds.

    Attributes:
        pair: number of the pair of turns that it belongs to.
        rounds: timed calls in it.
        seconds: on the clock.
        waited_s, own_s, stolen_s, paused_s, switches, pauses: as in `Reading`, of this turn.
        others_s: processor time of other processes on the CPUs that this process may use.
    """

    pair: int
    rounds: int
    seconds: float
    waited_s: float = 0.0
    own_s: float = 0.0
    switches: int = 0
    others_s: float = 0.0
    stolen_s: float = 0.0
    pauses: int = 0
    paused_s: float = 0.0

    @property
    def lost(self) -> float:
        """Share of the turn for which its threads had no core, together, besides a quota's pauses.

        The kernel counts stolen time in ticks: one of them may have begun before the turn.
        """
        return (max(0.0, self.waited_s - self.paused_s) + max(0.0, self.stolen_s - TICK_S)) / self.seconds

    @property
    def paused(self) -> float:
        """Largest share of its rounds that a quota can have hit: a pause hits one round, a long one is in all."""
        return min(1.0, self.pauses / self.rounds) if self.rounds else 0.0

    @property
    def disturbed(self) -> bool:
        return self.lost > MOST_LOST or self.paused > MOST_PAUSED


def between(before: Reading, after: Reading, pair: int, rounds: int) -> Turn:
    """The turn between two readings."""
    own_s = after.own_s - before.own_s
    return Turn(
        pair, rounds, max(after.at_s - before.at_s, 1e-9), max(0.0, after.waited_s - before.waited_s), own_s,
        after.switches - before.switches, max(0.0, after.busy_s - before.busy_s - own_s),
        max(0.0, after.stolen_s - before.stolen_s), after.pauses - before.pauses,
        max(0.0, after.paused_s - before.paused_s))


@dataclass(frozen=True)
class Conditions:
    """Under which a case was measured.

    Attributes:
        turns: of the measurement that counts.
        repeats: how often the case was measured again before, because its turns were disturbed.
        overrun: a sentence where it ended early or was planned anew, otherwise empty.
    """

    turns: Sequence[Turn]
    repeats: int = 0
    overrun: str = ""

    @property
    def reason(self) -> str:
        """Why the time is unusable; empty where it can be used."""
        return "" if accepted() or not disturbed(self.turns) else _reason(self.turns, self.repeats)

    def record(self) -> record.Conditions:
        """As a topic of the record."""
        if not self.turns:
            return record.Conditions(overrun=self.overrun or None)
        total = sum(turn.seconds for turn in self.turns)
        return record.Conditions(
            usable=not self.reason,
            unusable_reason=self.reason or None,
            disturbance_accepted=accepted(),
            overrun=self.overrun or None,
            repeats=self.repeats,
            turn_lost=[round(turn.lost, 4) for turn in self.turns],
            turn_switches=[turn.switches for turn in self.turns],
            cores_used=round(sum(turn.own_s for turn in self.turns) / total, 3),
            cores_of_others=round(sum(turn.others_s for turn in self.turns) / total, 3),
            stolen_share=round(sum(turn.stolen_s for turn in self.turns) / total, 4),
            quota_pauses=sum(turn.pauses for turn in self.turns),
            quota_paused_s=round(sum(turn.paused_s for turn in self.turns), 4))


def accepted() -> bool:
    """Whether disturbed times count: for tests of this suite, which run several sessions on one machine."""
    return os.environ.get(ACCEPT) == "accept"


def disturbed(turns: Sequence[Turn]) -> bool:
    """Whether too many pairs have a disturbed turn."""
    pairs = {turn.pair for turn in turns}
    hit = {turn.pair for turn in turns if turn.disturbed}
    return bool(hit) and len(hit) >= MOST_PAIRS * len(pairs)


def _reason(turns: Sequence[Turn], repeats: int) -> str:
    total = sum(turn.seconds for turn in turns)
    hit, pairs = len({turn.pair for turn in turns if turn.disturbed}), len({turn.pair for turn in turns})
    waited, stolen, others = (sum(getattr(turn, name) for turn in turns) / total
                              for name in ("waited_s", "stolen_s", "others_s"))
    if any(turn.paused > MOST_PAUSED for turn in turns) and sum(turn.paused_s for turn in turns) / total > waited / 2:
        cause = "the CPU quota of this control group stopped it: allow a core for each thread"
    elif stolen > waited:
        cause = f"a hypervisor took {stolen:.0%} of a core for other machines"
    elif others >= BUSY_CORES:
        cause = f"other processes kept {others:.1f} cores busy"
    else:
        cause = "its own threads or short-lived processes took each other's cores"
    again = f", also when measured again {'once' if repeats == 1 else f'{repeats} times'}" if repeats else ""
    return (f"{hit} of {count(pairs, 'turn')} disturbed{again}: {cause}; its threads waited {waited:.0%} of the time "
            "for a core")


class Watch:
    """Observer of turns: reads the counters where a turn begins and ends."""

    def __init__(self, read: Callable[[], Reading] | None = None):
        self._read = read or Counters().read
        self._before: Reading | None = None
        self.turns: list[Turn] = []

    def begin(self) -> None:
        self.turns = []

    def before_turn(self) -> None:
        self._before = self._read()

    def after_round(self, side: str) -> None:
        """Nothing: the counters are those of whole turns."""

    def after_turn(self, side: str, pair: int, rounds: int) -> None:
        self.turns.append(between(self._before, self._read(), pair, rounds))


def busy(others: float, cores: int, threads: int) -> str | None:
    """A line for the header where other processes leave less than a core a thread, otherwise None."""
    if others < BUSY_CORES or others + threads <= cores + BUSY_CORES:
        return None
    return (f"other processes keep {others:.1f} of {cores} cores busy: cases that they disturb are measured again, and "
            "marked unusable when that does not help; stop them, or give fewer --threads")


def overran(spent_s: float, planned_s: float) -> bool:
    """Whether a turn or a case takes so much longer than planned that it is planned anew or ends."""
    return spent_s > OVERRUN * planned_s
