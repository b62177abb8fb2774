"""Instances side by side: processes pinned to disjoint cores, which call a variant for the same seconds.

Run as `python -m eagerbench.measuring.instances REQUEST.json NUMBER`. Each loads the variant, warms up, says `ready`
and waits for the time at which all start, on the clock that processes share (CLOCK_MONOTONIC).
"""

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from eagerbench.backends.base import Arrays, Placement
from eagerbench.errors import CannotRun
from eagerbench.machine.readings import Counters
from eagerbench.measuring import fresh_process
from eagerbench.measuring.disturbance import Turn, between
from eagerbench.measuring.fresh_process import Imports, Opened, read_arrays, read_request, write_request

if TYPE_CHECKING:
    from eagerbench.models.specs import ModelSpec

_READY_S = 1800  # that loading and warming up may take
_LEAD_S = 0.1  # from the word to the start
_WARM_UP_S = 0.3
SLICES = 6  # of the window, each with a rate of its own: what an exact interval needs


@dataclass(frozen=True)
class Instance:
    """What one process did: calls that it finished, in how many seconds, what its cores did, and its last outputs.

    `slices`: the same of SLICES equal parts of the window, or of fewer where a call is longer than one.
    """

    calls: int
    seconds: float
    slices: list[tuple[int, float]]
    turn: Turn
    outputs: dict[str, np.ndarray]


def run_instances(variant_name: str, directory: Path | None, spec: "ModelSpec", batch: Arrays, placement: Placement,
                  allocator: str, cores: Sequence[Sequence[int]], window_s: float) -> list[Instance]:
    """Run a process on each set of cores, with as many threads as it has cores, all at the same time.

    Raises:
        CannotRun: a process failed, and its last line says how; or one is not on its cores or threads.
    """
    placement = replace(placement, threads=len(cores[0]))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as started:
        scratch = Path(name)
        file = write_request(scratch, variant_name, directory, spec, [batch], placement, allocator,
                             cores=[list(those) for those in cores], window_s=window_s)
        processes = [started.enter_context(_process(file, number, those)) for number, those in enumerate(cores)]
        watchdog = threading.Timer(_READY_S, lambda: [process.kill() for process in processes])
        watchdog.daemon = True
        watchdog.start()
        ready = [_says_ready(process) for process in processes]
        watchdog.cancel()
        if all(ready):
            start = time.monotonic() + _LEAD_S
            for process in processes:
                process.stdin.write(f"{start!r}\n")
                process.stdin.flush()
        else:  # the others still wait for their start
            for process in processes:
                process.kill()
        for process in processes:
            process.wait()
        for number, process in enumerate(processes):
            if process.returncode and not (not all(ready) and ready[number]):
                raise CannotRun(fresh_process.failure(process.returncode, _stderr(scratch, number).read_text()))
        return [_instance(scratch, number) for number in range(len(cores))]


def _instance(scratch: Path, number: int) -> Instance:
    facts = json.loads((scratch / f"instance{number}.json").read_text())
    return Instance(facts["calls"], facts["seconds"], [tuple(part) for part in facts["slices"]], Turn(**facts["turn"]),
                    read_arrays(scratch / f"out{number}.npz"))


def _stderr(scratch: Path, number: int) -> Path:
    return scratch / f"stderr{number}.txt"


@contextlib.contextmanager
def _process(file: Path, number: int, cores: Sequence[int]) -> Iterator[subprocess.Popen]:
    """A process on these cores, killed if it is still there at the end."""
    with _stderr(file.parent, number).open("w") as stderr:
        process = _start_on(cores, fresh_process.command(__name__, file, number), stderr)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def _start_on(cores: Sequence[int], command: list[str], stderr: IO[str]) -> subprocess.Popen:
    """A child has the cores of the thread that starts it, from its first instruction on."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        return subprocess.Popen(command, env=fresh_process.environment(), stdin=subprocess.PIPE, text=True,
                                stdout=subprocess.PIPE, stderr=stderr)
    finally:
        os.sched_setaffinity(0, ours)


def _says_ready(process: subprocess.Popen) -> bool:
    """Wait for the word, past whatever a runtime prints."""
    return any(line == "ready\n" for line in process.stdout)


def _serve(file: Path, number: int) -> None:
    request, (batch,) = read_request(file)
    threads, cores = request["placement"]["threads"], set(request["cores"][number])
    runner = Opened(request, Imports()).runner(batch)
    if runner.threads != threads or os.sched_getaffinity(0) != cores:
        sys.exit(f"{runner.threads} threads on cores {sorted(os.sched_getaffinity(0))}, asked for {threads} on "
                 f"{sorted(cores)}")
    native = runner.prepare(batch)
    warm = time.monotonic() + _WARM_UP_S
    runner(native)
    while time.monotonic() < warm:
        runner(native)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start = float(sys.stdin.readline())
    gc.collect()
    gc.disable()
    counters = Counters()
    before = counters.read()
    time.sleep(max(0.0, start - time.monotonic()))
    slices, began, calls = [], start, 0
    while len(slices) < SLICES:
        outputs = runner(native)
        calls += 1
        now = time.monotonic()
        if now >= start + request["window_s"] * (len(slices) + 1) / SLICES:
            slices.append((calls, now - began))
            began, calls = now, 0
        if now >= start + request["window_s"]:
            break
    calls, seconds = sum(count for count, _ in slices), now - start
    turn = replace(between(before, counters.read(), number, calls), seconds=seconds)
    np.savez(file.with_name(f"out{number}.npz"), **runner.arrays(outputs))
    file.with_name(f"instance{number}.json").write_text(json.dumps(
        {"calls": calls, "seconds": seconds, "slices": slices, "turn": asdict(turn)}))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
