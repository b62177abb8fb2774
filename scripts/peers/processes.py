"""A process of a side, from its start to its end, and how many cores others took meanwhile."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_MOST_S = 900


@dataclass(frozen=True)
class Ended:
    """
    Attributes:
        seconds: from start to end.
        others: cores that processes which are not ours were using, on average.
    """

    code: int
    out: str
    err: str
    seconds: float
    others: float

    @property
    def last_words(self) -> str:
        """The last line that says something, of what failed."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"exit code {self.code}"


def run(command: Sequence[str | Path], environment: dict[str, str], directory: Path) -> Ended:
    """Run a command to its end; one that hangs is ended with all that it started."""
    began, busy, ours = time.perf_counter(), _busy_s(), _ours_s()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, errors="replace", env=environment, cwd=directory, start_new_session=True)
    try:
        out, err = process.communicate(timeout=_MOST_S)
    except BaseException as error:  # Ctrl-C too: nothing is left behind
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        err += f"\nno end in {_MOST_S} s"
    seconds = time.perf_counter() - began
    others = max(0.0, (_busy_s() - busy) - (_ours_s() - ours)) / seconds
    return Ended(process.returncode, out, err, seconds, others)


def _busy_s() -> float:
    """Seconds that all cores were busy since the machine started."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def _ours_s() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
