"""The side of a duet: a session that takes turns with another.

`eagerbench duet` starts two such sessions and is the other end of the channel, a socket inherited as the file
descriptor that EAGERBENCH_DUET names. Messages are JSON objects, one a line. The controller says which
benchmarks run and in which order, and when a turn begins; it stops this process while the other side has its turn.
"""

import json
import math
import socket
import time
from collections.abc import Callable
from typing import Any

from eagerbench.errors import CannotRun
from eagerbench.machine import spent
from eagerbench.measuring.disturbance import overran
from eagerbench.measuring.turns import TURN_S, Finished
from eagerbench.results.sameness import FIELDS

VARIABLE = "EAGERBENCH_DUET"


class ControllerGone(BaseException):
    """The other end of the channel is closed: there is nobody to measure for. No fault of a case, so no Exception."""


class Partner:
    """This side's end of the channel.

    Args:
        channel: connected to the controller.
    """

    def __init__(self, channel: socket.socket):
        self._channel = channel
        self._lines = channel.makefile("r", encoding="utf-8")
        self._turns = self._rounds_per_turn = 0
        self._may_end_early = False
        self._planned_turn_s = self._began = 0.0
        self._lengths: list[int] = []  # rounds of each turn
        self._open = False
        self._bench_id = ""
        self._failure: str | None = None
        self._model: dict[str, str] = {}

    def agree(self, bench_ids: list[str], facts: dict[str, Any]) -> list[str]:
        """Offer benchmarks; returns those that both sides run, in running order."""
        self._say("hello", ids=bench_ids, facts=facts)
        return self._hear("run")["ids"]

    def wait_until_both_are_built(self, bench_id: str) -> None:
        """
        Raises:
            CannotRun: the other side has failed.
        """
        self._bench_id = bench_id
        self._say("ready", id=bench_id)
        self._hear("warm")

    def plan(self, bench_id: str, call_s: float) -> int:
        """Rounds to take in all, at most, from the seconds that a call takes here."""
        self._say("warm", id=bench_id, call_s=call_s, can_end_early=True)
        heard = self._hear("plan")
        self._rounds_per_turn = heard["rounds_per_turn"]
        self._may_end_early = heard.get("may_end_early", False)
        self._planned_turn_s = max(TURN_S, (self._rounds_per_turn + 1) * call_s)
        self._lengths, self._open = [], False
        self._turns = heard["turns"]
        return self._turns * self._rounds_per_turn

    def before_round(self, call: Callable[[], object]) -> None:
        """Where a turn begins, wait for it, then call once untimed: the working set comes back into the caches.

        Raises:
            Finished: the controller has had enough turns.
        """
        if not self._open:
            if self._lengths and len(self._lengths) == self._turns:
                raise Finished
            if self._hear("go", "enough")["kind"] == "enough":
                raise Finished
            self._began, self._open = time.perf_counter(), True
            self._lengths.append(0)
            call()

    def after_round(self) -> None:
        """End the turn when it has its rounds, or when it has overrun its plan and may end early.

        Then the next ones are planned by what its calls took.
        """
        self._lengths[-1] += 1
        spent_s = time.perf_counter() - self._began
        over = self._may_end_early and overran(spent_s, self._planned_turn_s)
        if over or self._lengths[-1] == self._rounds_per_turn:
            self._open = False
            self._say("turn")
        if over:
            self._rounds_per_turn = max(1, math.ceil(TURN_S * (self._lengths[-1] + 1) / spent_s))

    def report(self, bench_id: str, rounds: list[float]) -> None:
        self._say("timed", id=bench_id, rounds=rounds, lengths=self._lengths)

    def describe(self, record: dict[str, Any]) -> None:
        """What this benchmark was run on (of its record, what `results.sameness` looks at); sent when it ends."""
        self._model = {name: str(record[name]) for name in FIELDS if record.get(name) is not None}

    def begin(self) -> None:
        """Before a benchmark is set up: nothing has failed."""
        self._failure, self._model = None, {}

    def failed(self, reason: str) -> None:
        """Why the benchmark has no time; the first reason counts."""
        self._failure = self._failure or reason

    def end(self, bench_id: str) -> None:
        """The controller learns how the benchmark ended."""
        self._say("ended", id=bench_id, failed=self._failure, model=self._model, spent=spent.seconds())

    def _say(self, kind: str, **content: Any) -> None:
        try:
            self._channel.sendall(json.dumps({"kind": kind, **content}).encode() + b"\n")
        except ConnectionError:
            self._leave()

    def _hear(self, *kinds: str) -> dict[str, Any]:
        while True:
            try:
                with spent.during("waiting"):
                    line = self._lines.readline()
            except ConnectionError:
                line = ""
            if not line:
                self._leave()
            message = json.loads(line)
            if message["kind"] in kinds:
                return message
            if message["kind"] != "skip":
                raise RuntimeError(f"the controller said {message['kind']} where {kinds[0]} was due")
            if message["id"] == self._bench_id:  # otherwise it came when that test had already failed here
                raise CannotRun(message["reason"])

    @staticmethod
    def _leave() -> None:
        raise ControllerGone("the controller of the duet has gone")
