"""Instances side by side: processes pinned to disjoint cores, which call a variant for the same seconds.

Run as `python -m eagerbench.measuring.instances REQUEST.json NUMBER`. Each loads the variant, warms up, says `ready`
and waits for the time at which all start, on the clock that processes share (CLOCK_MONOTONIC).
"""

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eagerbench.backends.base import Arrays, Placement, Runner
from eagerbench.machine.readings import Counters
from eagerbench.measuring import own_process
from eagerbench.measuring.disturbance import Turn, between
from eagerbench.measuring.fresh_process import TIMEOUT_S, Imports, Opened, read_arrays, read_request, write_request
from eagerbench.measuring.own_process import OwnProcess
from eagerbench.measuring.served import Served

if TYPE_CHECKING:
    from eagerbench.models.specs import ModelSpec

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
        CannotRun: a process ended by a Python exception, or one is not on its cores or threads.
        Crashed: one died, took longer than 30 minutes to be ready or to end, or left no result.
    """
    with ready(__name__, variant_name, directory, spec, [batch], placement, allocator, cores,
               window_s=window_s) as (scratch, processes):
        start = time.monotonic() + _LEAD_S
        for process in processes:
            process.tell(f"{start!r}")
        own_process.wait(processes, lambda process: process.ended, TIMEOUT_S)
        for process in processes:
            process.require()
        found = []
        for number, process in enumerate(processes):
            with process.results():
                found.append(_instance(scratch, number))
        return found


@contextlib.contextmanager
def ready(module: str, variant_name: str, directory: Path | None, spec: "ModelSpec", batches: list[Arrays],
          placement: Placement, allocator: str, cores: Sequence[Sequence[int]],
          **more: Any) -> Iterator[tuple[Path, list[OwnProcess]]]:
    """Processes of `python -m MODULE REQUEST.json NUMBER`, one on each set of cores with as many threads, once all of
    them have said that they are ready; and the directory of their files. They are ended with the context.

    Args:
        more: what the request has besides.

    Raises:
        CannotRun, Crashed: one of them did not get as far; see `run_instances`.
    """
    placement = replace(placement, threads=len(cores[0]))
    with own_process.scratch() as scratch, contextlib.ExitStack() as started:
        file = write_request(scratch, variant_name, directory, spec, batches, placement, allocator,
                             cores=[list(those) for those in cores], **more)
        processes = []
        for number, those in enumerate(cores):
            process = OwnProcess(variant_name, own_process.command(module, file, number), _notes(file, number), those)
            started.callback(process.close)
            processes.append(process)
        own_process.wait(processes, lambda process: _is_ready(process) or _any_ended(processes), TIMEOUT_S)
        for process in processes:
            if not _is_ready(process) and (process.ended or not _any_ended(processes)):
                process.require()  # the others still wait for their start
        yield scratch, processes


def _any_ended(processes: Sequence[OwnProcess]) -> bool:
    return any(process.ended for process in processes)


def _is_ready(process: OwnProcess) -> bool:
    """Whether it has said so, past whatever a runtime prints."""
    return b"ready" in process.output.splitlines()


def _notes(file: Path, number: int) -> Path:
    return file.with_name(f"notes{number}")


def _instance(scratch: Path, number: int) -> Instance:
    facts = json.loads((scratch / f"instance{number}.json").read_text())
    return Instance(facts["calls"], facts["seconds"], [tuple(part) for part in facts["slices"]], Turn(**facts["turn"]),
                    read_arrays(scratch / f"out{number}.npz"))


def _serve(file: Path, number: int, served: Served) -> None:
    request, (batch,) = read_request(file)
    runner = pinned(request, number, batch, served)
    native = warmed(runner, batch, served)
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


def pinned(request: dict, number: int, batch: Arrays, served: Served) -> Runner:
    """The variant of a request, in the process of this number: on its cores, with as many threads, or the process ends.
    """
    threads, cores = request["placement"]["threads"], set(request["cores"][number])
    runner = Opened(request, Imports(), served).runner(batch)
    if runner.threads != threads or os.sched_getaffinity(0) != cores:
        sys.exit(f"{runner.threads} threads on cores {sorted(os.sched_getaffinity(0))}, asked for {threads} on "
                 f"{sorted(cores)}")
    return runner


def warmed(runner: Runner, batch: Arrays, served: Served) -> Any:
    """Call it for a while, and say that it is ready; returns the runtime's own inputs."""
    served.doing("warming up")
    native = runner.prepare(batch)
    warm = time.monotonic() + _WARM_UP_S
    runner(native)
    while time.monotonic() < warm:
        runner(native)
    served.doing("being called")
    sys.stdout.write("\nready\n")
    sys.stdout.flush()
    return native


def main(serve: Callable[[Path, int, Served], None]) -> None:
    """Of such a process: `REQUEST.json NUMBER` are its arguments."""
    file, number = Path(sys.argv[1]), int(sys.argv[2])
    served = Served(_notes(file, number))
    served.run(lambda: serve(file, number, served))


if __name__ == "__main__":
    main(_serve)
