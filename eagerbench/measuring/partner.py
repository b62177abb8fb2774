"""A session that takes turns with another one: the pytest plugin of a duet's side (`-p eagerbench.measuring.partner`).

`eagerbench duet` starts two such sessions and is the other end of the channel, a socket inherited as the file
descriptor that EAGERBENCH_DUET names. Messages are JSON objects, one a line. The controller says which
benchmarks run and in which order, and when a turn begins; it stops this process while the other side has its turn.
"""

import json
import math
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eagerbench.errors import first_line
from eagerbench.measuring.disturbance import overran
from eagerbench.measuring.turns import TURN_S, Finished
from eagerbench.results.sameness import FIELDS

VARIABLE = "EAGERBENCH_DUET"


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
        """Skips when the other side has failed."""
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

    def note(self, bench_id: str, report: pytest.TestReport, error: BaseException | None) -> None:
        """Take a phase of the benchmark's test in; after the last one the controller learns how it ended."""
        if report.when == "setup":
            self._failure, self._model = None, {}
        if self._failure is None and not report.passed and error is not None:
            told = isinstance(error, pytest.fail.Exception | pytest.skip.Exception)
            reason = " ".join(str(error).split()) if told else first_line(error)
            self._failure = reason or type(error).__name__
        elif self._failure is None and report.skipped:
            self._failure = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if report.when == "teardown":
            self._say("ended", id=bench_id, failed=self._failure, model=self._model)

    def _say(self, kind: str, **content: Any) -> None:
        try:
            self._channel.sendall(json.dumps({"kind": kind, **content}).encode() + b"\n")
        except ConnectionError:
            self._leave()

    def _hear(self, *kinds: str) -> dict[str, Any]:
        while True:
            try:
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
                pytest.skip(message["reason"])

    @staticmethod
    def _leave() -> None:
        pytest.exit("the controller of the duet has gone", returncode=2)


PARTNER = pytest.StashKey[Partner]()


def pytest_configure(config):
    descriptor = os.environ.get(VARIABLE, "")
    if not descriptor.isdigit():
        raise pytest.UsageError(f"{VARIABLE} names no file descriptor: this plugin is for `eagerbench duet`")
    channel = socket.socket(fileno=int(descriptor))
    channel.set_inheritable(False)  # a child that outlives this process must not keep the channel open
    config.stash[PARTNER] = Partner(channel)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Keep what both sides have, in the order in which both run it."""
    offered = {}
    for item in items:
        bench_id = _bench_id(item)
        if bench_id is not None and item.get_closest_marker("skip") is None:
            offered[bench_id] = item
    agreed = config.stash[PARTNER].agree(list(offered), _facts(config))
    config.hook.pytest_deselected(items=[item for item in items if _bench_id(item) not in agreed])
    items[:] = [offered[bench_id] for bench_id in agreed]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.config.stash[PARTNER].note(_bench_id(item), report, call.excinfo.value if call.excinfo else None)
    return report


def _bench_id(item: pytest.Item) -> str | None:
    marker = item.get_closest_marker("bench_id")
    return marker.args[0] if marker else None


def _facts(config) -> dict[str, Any]:
    """What must be the same on both sides, and the machine as pytest-benchmark describes it."""
    info = config.hook.pytest_benchmark_generate_machine_info(config=config)
    config.hook.pytest_benchmark_update_machine_info(config=config, machine_info=info)
    return {"machine_info": info, "hash_seed": os.environ.get("PYTHONHASHSEED"), "stack_bytes": _stack_bytes(),
            "unknown_variants": getattr(config.option, "unknown_variants", []), "root": str(config.rootpath),
            "code": str(Path(sys.modules["eagerbench"].__file__).resolve().parents[1])}


def _stack_bytes() -> int | None:
    """Bytes that arguments and environment take at the top of the stack, where they shift every later frame."""
    process = Path("/proc/self")
    if not process.exists():
        return None
    arguments = (process / "cmdline").read_bytes()
    return len(arguments) + len((process / "environ").read_bytes()) + len(arguments.partition(b"\0")[0])
