"""Kernel counters of this process and its machine, read between turns and never inside a timed call.

A process that runs calls of this one counts as a part of it, once it is named by `count_in`.
"""

import os
import resource
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eagerbench.machine import quota

_PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_parts: set[int] = set()  # numbers of processes that run calls of this one


def count_in(pid: int) -> None:
    """Count a process as a part of this one: what it does is no disturbance, and it is waited for between turns."""
    _parts.add(pid)


def leave_out(pid: int) -> None:
    """The process has ended."""
    _parts.discard(pid)


@dataclass(frozen=True)
class Reading:
    """Counters at one moment; what this system does not tell is 0.

    Attributes:
        at_s: of time.perf_counter.
        waited_s: for how long threads of this process were ready to run while their core was taken.
        own_s: processor time of this process.
        switches: how often its threads had to give a core up (involuntary context switches).
        busy_s: processor time of all processes on the CPUs that this process may use.
        stolen_s: time for which a hypervisor gave those CPUs to another machine.
        pauses, paused_s: how often, and for how long, a CPU quota stopped the control group.
    """

    at_s: float
    waited_s: float = 0.0
    own_s: float = 0.0
    switches: int = 0
    busy_s: float = 0.0
    stolen_s: float = 0.0
    pauses: int = 0
    paused_s: float = 0.0


class Counters:
    """Reads them. `proc` and the `cpu.stat` files may be another system's, for tests."""

    def __init__(self, proc: Path = _PROC, cpus: Iterable[int] | None = None, cpu_stats: Sequence[Path] | None = None):
        self._proc = proc
        self._cpus = {f"cpu{cpu}" for cpu in (quota.usable_cpus() if cpus is None else cpus)}
        self._cpu_stats = list(quota.cpu_stat_files() if cpu_stats is None else cpu_stats)

    def read(self) -> Reading:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        busy_s, stolen_s = self._machine()
        pauses, paused_s = self._quota()
        waited_s, own_s = self._scheduled("self")[1], usage.ru_utime + usage.ru_stime
        for pid in _parts:
            ran_s, its_s = self._scheduled(str(pid))
            waited_s, own_s = waited_s + its_s, own_s + ran_s
        return Reading(time.perf_counter(), waited_s, own_s, usage.ru_nivcsw, busy_s, stolen_s, pauses, paused_s)

    def _scheduled(self, process: str) -> tuple[float, float]:
        """Seconds for which its threads ran, and were ready to and did not: the first two numbers of each thread's
        schedstat, https://docs.kernel.org/scheduler/sched-stats.html"""
        ran = waited = 0
        tasks = self._proc / process / "task"
        with suppress(OSError):
            for thread in os.listdir(tasks):
                with suppress(OSError, ValueError, IndexError):  # it may end meanwhile
                    numbers = (tasks / thread / "schedstat").read_text().split()
                    ran, waited = ran + int(numbers[0]), waited + int(numbers[1])
        return ran / 1e9, waited / 1e9

    def _machine(self) -> tuple[float, float]:
        """Busy and stolen seconds (man 5 proc, /proc/stat): user, nice, system, irq and softirq; steal."""
        busy = stolen = 0
        with suppress(OSError, ValueError), (self._proc / "stat").open() as lines:
            for line in lines:
                name, *ticks = line.split()
                if not name.startswith("cpu"):
                    break
                if name in self._cpus:
                    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, ticks)
                    busy += user + nice + system + irq + softirq
                    stolen += steal
        return busy * TICK_S, stolen * TICK_S

    def _quota(self) -> tuple[int, float]:
        """Of the group, or of the one above it, that was paused longest."""
        return max(map(_pauses, self._cpu_stats), key=lambda found: found[1], default=(0, 0.0))


def _pauses(file: Path) -> tuple[int, float]:
    """`nr_throttled`, and `throttled_usec` (version 2) or `throttled_time` in nanoseconds (version 1)."""
    found: dict[str, int] = {}
    with suppress(OSError, ValueError):
        found = {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}
    seconds = found["throttled_usec"] / 1e6 if "throttled_usec" in found else found.get("throttled_time", 0) / 1e9
    return found.get("nr_throttled", 0), seconds


def other_threads_running(proc: Path = _PROC) -> int:
    """How many threads of this process besides the calling one, and of those that are a part of it, are running or
    ready to (state R in man 5 proc, stat).

    Their counters would not show it: the kernel brings them up to date at its ticks only.
    """
    count = 0
    for process in ("self", *map(str, _parts)):
        with suppress(OSError):
            for thread in os.listdir(proc / process / "task"):
                if thread != str(threading.get_native_id()):
                    with suppress(OSError):
                        stat = (proc / process / "task" / thread / "stat").read_text()
                        count += stat.rpartition(")")[2].split()[0] == "R"
    return count


def others_cores(counters: Counters | None = None, sleep: Callable[[float], None] = time.sleep,
                 seconds: float = 0.25) -> float:
    """How many cores other processes keep busy, measured while this one sleeps."""
    counters = counters or Counters()
    before = counters.read()
    sleep(seconds)
    after = counters.read()
    own_s = after.own_s - before.own_s
    return max(0.0, (after.busy_s - before.busy_s - own_s) / (after.at_s - before.at_s))
