"""Queries answered by several instances: processes pinned to disjoint cores, each of which answers one batch at a time.

Run as `python -m eagerbench.serving.side_by_side REQUEST.json NUMBER`. A batch is a line on an instance's stdin: the
number of the call and the sentences; `answered NUMBER` on its stdout is the answer. Outputs stay in the instance, which
writes those of its last answers to a file at the end: what a server would send over a network is not in a latency.
"""

import contextlib
import json
import os
import selectors
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np

from eagerbench.backends.base import Arrays
from eagerbench.machine import readings
from eagerbench.measuring import instances, own_process
from eagerbench.measuring.fresh_process import TIMEOUT_S, read_arrays, read_request
from eagerbench.measuring.own_process import OwnProcess
from eagerbench.measuring.served import Served
from eagerbench.serving.policy import Batcher, Query
from eagerbench.workloads.batching import Batches

_ENDING_S = 10.0  # for a process whose output has ended to be gone
_END = "end"
Answer = Callable[[list[Query]], None]


class SideBySide:
    """Instances that are ready, as the loop that answers queries uses them. To be closed.

    Args:
        processes: of this module.
        scratch: the directory of their files.
    """

    def __init__(self, scratch: Path, processes: Sequence[OwnProcess]):
        self._scratch = scratch
        self._processes = list(processes)
        self._running: dict[int, tuple[int, list[Query]]] = {}  # instance: its call
        self._last: dict[int, tuple[int, int]] = {}  # sentence: its last (call, instance)
        self._calls = 0
        self._wakes, self._wake = os.pipe()
        self._waiting = selectors.SelectSelector()  # the others round a time-out up to a millisecond
        for end in (self._wakes, self._wake):
            os.set_blocking(end, False)
        self._waiting.register(self._wakes, selectors.EVENT_READ)
        for number, process in enumerate(self._processes):
            readings.count_in(process.pid)
            for stream, buffer in process.streams.items():
                os.set_blocking(stream, False)
                self._waiting.register(stream, selectors.EVENT_READ, (number, buffer))

    def close(self) -> None:
        for process in self._processes:
            readings.leave_out(process.pid)
        self._waiting.close()
        os.close(self._wakes)
        os.close(self._wake)

    def wake(self) -> None:
        """Something has come in; any thread may say so."""
        with contextlib.suppress(BlockingIOError):  # it is full of such words
            os.write(self._wake, b".")

    def serve(self, inbox: SimpleQueue, batcher: Batcher, answer: Answer, clock: Callable[[], float]) -> int:
        """Answer until None comes in; returns the number of calls.

        Raises:
            Crashed, CannotRun: an instance has ended. What it was to answer is answered as far as `answer` goes.
        """
        before, ended = self._calls, False
        try:
            while True:
                ended = _take(inbox, batcher) or ended
                while len(self._running) < len(self._processes) and (batch := batcher.take(clock())):
                    self._start(batch)
                if ended and not self._running:
                    inbox.put(None)  # for whoever clears up
                    return self._calls - before
                free = len(self._running) < len(self._processes)
                for batch in self._answered(batcher.wait_s(clock()) if free else None):
                    answer(batch)
        finally:
            for _, batch in self._running.values():
                answer(batch)
            self._running.clear()

    def kept(self) -> tuple[Batches, list[Arrays]]:
        """The batches that have the last answer to any sentence, in the order of their calls, with their outputs. The
        instances end.

        Raises:
            Crashed, CannotRun: one of them has not written its own.
        """
        for process in self._processes:
            process.tell(_END)
        own_process.wait(self._processes, lambda process: process.ended, TIMEOUT_S)
        found = []
        for number, process in enumerate(self._processes):
            process.require()
            with process.results():
                facts = json.loads((self._scratch / f"calls{number}.json").read_text())
                found += [(call, batch, read_arrays(_file(self._scratch, number, call))) for call, batch in facts
                          if (call, number) in self._last.values()]
        found.sort(key=lambda one: one[0])
        return [batch for _, batch, _ in found], [outputs for *_, outputs in found]

    def _start(self, batch: list[Query]) -> None:
        number = next(place for place in range(len(self._processes)) if place not in self._running)
        self._running[number] = self._calls, batch
        sentences = [query.sample for query in batch]
        self._last.update(dict.fromkeys(sentences, (self._calls, number)))
        self._processes[number].tell(" ".join(map(str, (self._calls, *sentences))))
        self._calls += 1

    def _answered(self, wait_s: float | None) -> Iterator[list[Query]]:
        """Batches that are answered, once something has happened or the time is over."""
        for key, _ in self._waiting.select(wait_s):
            if key.fd == self._wakes:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakes, 2**16)
                continue
            number, buffer = key.data
            if not own_process.drained(key.fd, buffer):
                self._lost(self._processes[number])
            call, batch = self._running.get(number, (None, []))
            if batch and b"answered %d" % call in self._processes[number].output.splitlines():
                del self._running[number], self._processes[number].output[:]
                yield batch

    def _lost(self, process: OwnProcess) -> None:
        own_process.wait([process], lambda process: process.ended, _ENDING_S)
        process.require()
        raise process.crashed("ended")


def _take(inbox: SimpleQueue, batcher: Batcher) -> bool:
    """Let the batcher have all that has come in; whether that was the end."""
    with contextlib.suppress(Empty):
        while (came := inbox.get_nowait()) is not None:
            for query in came:
                batcher.add(query)
        return True
    return False


def cut(rows: Arrays, lengths: Sequence[int], batch: Sequence[int]) -> Arrays:
    """The inputs of a batch, as wide as its longest sentence, of those of all sentences, padded on the right."""
    width = max(lengths[sentence] for sentence in batch)
    return {name: np.ascontiguousarray(array[batch, :width]) for name, array in rows.items()}


def _file(scratch: Path, number: int, call: int) -> Path:
    return scratch / f"out{number}-{call}.npz"


def _serve(file: Path, number: int, served: Served) -> None:
    request, (rows,) = read_request(file)
    lengths = request["lengths"]
    first = cut(rows, lengths, range(min(request["most_batch"], len(lengths))))
    runner = instances.pinned(request, number, first, served)
    instances.warmed(runner, first, served)
    answers: dict[int, tuple[int, list[int], Arrays]] = {}  # sentence: its last (call, batch, outputs)
    while (line := sys.stdin.readline().strip()) and line != _END:
        call, *batch = map(int, line.split())
        answer = call, batch, runner.arrays(runner(runner.prepare(cut(rows, lengths, batch))))
        answers.update(dict.fromkeys(batch, answer))
        os.write(sys.stdout.fileno(), b"\nanswered %d\n" % call)
    last = {call: (batch, outputs) for call, batch, outputs in answers.values()}
    for call, (_, outputs) in last.items():
        np.savez(_file(file.parent, number, call), **outputs)
    file.with_name(f"calls{number}.json").write_text(json.dumps([(call, batch) for call, (batch, _) in last.items()]))


if __name__ == "__main__":
    instances.main(_serve)
