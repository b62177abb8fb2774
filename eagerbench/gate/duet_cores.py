"""Both sides of a pair take their turns on the same cores, where they have fewer threads than the machine has cores.

Cores of one machine differ: big and small ones, and those of a virtual machine whose neighbour computes on the same
core. Left to the kernel, a turn of one side on a slow core meets a turn of the other on a fast one: on a virtual
machine with one core 38 % slower than the other, ratios of the same code scattered by 10 %.
"""

import contextlib
import os
import random
import time
from collections.abc import Iterable, Iterator

import psutil

from eagerbench.machine import quota

_MOST_TRIED = 8
_SPIN_S = 0.01  # of a core on trial, twice


@contextlib.contextmanager
def on_the_same_cores(processes: Iterable[int], threads: int | None, order: random.Random,
                      before: list[int] | None = None) -> Iterator[list[int]]:
    """Inside, every thread of these processes and of their children runs on `threads` cores, the quickest of some.

    Args:
        processes: numbers; they must stand still at the start, so that no thread is missed.
        threads: None where it is not known.
        order: which cores are tried, where there are many.
        before: cores that the other side had, where it ran before.

    Yields:
        the cores; empty where nothing was changed: no fewer threads than cores, or a system that cannot.
    """
    usable = quota.usable_cpus()
    if not threads or threads >= len(usable) or not hasattr(os, "sched_setaffinity"):
        yield []
        return
    tried = order.sample(sorted(usable), min(len(usable), max(threads, _MOST_TRIED)))
    cores = set(before or quickest(threads, tried))
    numbers = list(processes)
    _place(numbers, cores)
    try:
        yield sorted(cores)
    finally:
        _place(numbers, usable)


def quickest(count: int, cores: list[int]) -> set[int]:
    """Those that count the most in 10 ms, the better of two times."""
    if count == len(cores):
        return set(cores)
    ours = os.sched_getaffinity(0)
    counted = dict.fromkeys(cores, 0)
    try:
        for core in [*cores, *cores]:
            with contextlib.suppress(OSError):  # taken away since
                os.sched_setaffinity(0, {core})
                counted[core] = max(counted[core], _counted())
    finally:
        os.sched_setaffinity(0, ours)
    return set(sorted(cores, key=counted.get, reverse=True)[:count])


def _counted() -> int:
    end, number = time.perf_counter() + _SPIN_S, 0
    while time.perf_counter() < end:
        number += 1
    return number


def _place(processes: Iterable[int], cores: set[int]) -> None:
    """Threads that begin later follow those that begin them."""
    for number in processes:
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(number)
            for member in (process, *process.children(recursive=True)):
                _place_threads(member.pid, cores)


def _place_threads(process: int, cores: set[int]) -> None:
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(OSError):  # it has ended since
                os.sched_setaffinity(int(thread), cores)
