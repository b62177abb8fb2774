"""How a process died: of what, whether for lack of memory, and its last output."""

import contextlib
import os
import re
import signal
from dataclasses import dataclass

from eagerbench.machine import quota
from eagerbench.shown import visible

_STACK_LINES, _STDERR_LINES = 60, 20
_LAST_BYTES = 16384
_NO_MEMORY = re.compile(r"bad_alloc|MemoryError|[Cc]an(?:'t|not) allocate memory|[Oo]ut of memory|not enough memory")


@dataclass(frozen=True)
class Death:
    """
    Attributes:
        how: `SIGSEGV`, `exit code 3`, `no end after 60 s`, `out of memory (SIGKILL)`.
        memory: whether it was for want of memory.
        stack: of the Python threads, as faulthandler writes it.
        stderr: the last lines of what the test wrote there.
    """

    how: str
    memory: bool
    stack: list[str]
    stderr: list[str]


def death(code: int, overrun_s: float | None, killed_by_kernel: bool, faults: int, stderr: int | None) -> Death:
    """
    Args:
        code: as `os.waitstatus_to_exitcode` gives it.
        overrun_s: the seconds that it was allowed, where it was ended for taking longer.
        killed_by_kernel: whether the kernel killed a process for want of memory meanwhile.
        faults, stderr: files that it wrote into.
    """
    stack, said = last_lines(faults, _STACK_LINES), last_lines(stderr, _STDERR_LINES)
    told = any(map(_NO_MEMORY.search, said))
    if overrun_s is not None:
        return Death(f"no end after {overrun_s:g} s", False, stack, said)
    if code == -signal.SIGKILL and killed_by_kernel:
        return Death("out of memory (SIGKILL)", True, stack, said)
    name = _signal(-code) if code < 0 else f"exit code {code}"
    return Death(f"out of memory ({name})" if told else name, told, stack, said)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def last_lines(descriptor: int | None, most: int) -> list[str]:
    """Of an open file, safe for a terminal; none where it cannot be read."""
    if descriptor is None:
        return []
    with contextlib.suppress(OSError):
        size = os.fstat(descriptor).st_size
        start = max(0, size - _LAST_BYTES)
        text = os.pread(descriptor, _LAST_BYTES, start).decode("utf-8", "replace")
        lines = [visible(line.rstrip())[:500] for line in text.splitlines() if line.strip()]
        return lines[1:][-most:] if start and len(lines) > 1 else lines[-most:]
    return []


def kernel_kills() -> int:
    """Processes that the kernel has killed for want of memory, here or anywhere: a count that only grows."""
    total = 0
    for file in quota.memory_event_files():
        with contextlib.suppress(OSError):
            total += sum(map(int, re.findall(r"^oom_kill (\d+)$", file.read_text(), re.MULTILINE)))
    return total
