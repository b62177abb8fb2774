"""One side of a pair: a pytest process, the channel to it, and its being stopped while the other side works."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eagerbench.causes import last_words
from eagerbench.gate.duet_signals import uninterrupted
from eagerbench.machine import wait_policy
from eagerbench.machine.children import die_with_parent
from eagerbench.measuring.partner import VARIABLE

_LONGEST_LINE = 4 * 2**20  # bytes; 12 turns of 2,000 rounds take half a million
_MESSAGES_OF_A_TEST = 6  # ready, warm, turn, timed, ended, and one to see that


class SideFailed(Exception):
    """A side is lost. Its text is one line that begins with the side's name.

    Attributes:
        silent: it did not speak in time, which may cost minutes each time.
    """

    def __init__(self, text: str, silent: bool = False):
        super().__init__(text)
        self.silent = silent


class BenchmarkFailed(Exception):
    """A side's test of a benchmark has ended early; `Side.finish` tells why. The side goes on with the next one."""


def _at(bench_id: str | None) -> str:
    return f" at {bench_id}" if bench_id else " before its first benchmark"


@dataclass(frozen=True)
class Checkout:
    """Where a side runs, and what.

    Attributes:
        name: base, head or null.
        python: its interpreter.
        code: directory that it imports the suite from; None for its own.
        command: arguments of the interpreter, in front of those of both sides.
        models: arguments of this side alone.
    """

    name: str
    directory: Path
    python: str
    code: Path | None = None
    command: tuple[str, ...] = ("-m", "pytest", "-p", "no:cacheprovider")
    models: tuple[str, ...] = ()

    def words(self, arguments: list[str]) -> list[str]:
        """The whole command."""
        return [self.python, *self.command, *arguments, *self.models]


class Side:
    """A running pytest session. Made by `start`.

    Args:
        name: base or head, for messages.
        process: leader of a process group of its own.
        channel: our end.
        log: what the session prints.
        time_out_s: a side that is silent for longer while it is due to speak has failed.
    """

    def __init__(self, name: str, process: subprocess.Popen, channel: socket.socket, log: Path, time_out_s: float):
        self.name = name
        self._process = process
        self._channel = channel
        self._log = log
        self._time_out_s = time_out_s
        self._buffer = bytearray()
        self._ended: dict[str, str | None] = {}
        self.models: dict[str, dict[str, str]] = {}  # by bench_id, what it says that the benchmark was run on
        self.spent: dict[str, float] = {}  # where its time went, as it last said

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, kind: str, **content: Any) -> None:
        with contextlib.suppress(ConnectionError):  # who has gone is found out by the next `hear`
            self._channel.sendall(json.dumps({"kind": kind, **content}).encode() + b"\n")

    def hear(self, kind: str, bench_id: str | None = None) -> dict[str, Any]:
        """Wait for a message.

        Raises:
            BenchmarkFailed: the benchmark's test has ended instead.
            SideFailed: the process died, was silent for too long, or said something else.
        """
        message = self._message(bench_id)
        if message.get("kind") == "ended" and message.get("id") == bench_id:
            self._ended[bench_id] = str(message.get("failed") or "its test passed without a measurement")
            raise BenchmarkFailed
        if message.get("kind") != kind or message.get("id", bench_id) != bench_id:
            raise SideFailed(f"{self.name} sent {str(message)[:80]!r} where {kind!r} was due{_at(bench_id)}")
        return message

    def finish(self, bench_id: str, skip: str | None) -> str | None:
        """Wait until the benchmark's test has ended.

        Args:
            skip: tell the side to skip what is left of it, for this reason.

        Returns:
            why the test failed, or None.
        """
        if skip is not None:
            self.send("skip", id=bench_id, reason=skip)
        for _ in range(_MESSAGES_OF_A_TEST):
            if bench_id in self._ended:
                return self._ended[bench_id]
            message = self._message(bench_id)
            if message.get("kind") == "ended" and message.get("id") == bench_id:
                self._ended[bench_id] = None if message.get("failed") is None else str(message["failed"])
                self.models[bench_id] = _texts(message.get("model"))
            elif skip is None or message.get("kind") not in ("ready", "warm", "turn", "timed"):
                raise SideFailed(f"{self.name} sent {str(message)[:80]!r} where its test should end{_at(bench_id)}")
        raise SideFailed(f"{self.name} does not end its test{_at(bench_id)}")

    def _message(self, bench_id: str | None) -> dict[str, Any]:
        where = _at(bench_id)
        deadline = time.monotonic() + self._time_out_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SideFailed(f"{self.name} was silent for {self._time_out_s:g} s{where}", silent=True)
            self._channel.settimeout(left)
            try:
                received = self._channel.recv(2**16)
            except TimeoutError:
                continue
            except ConnectionError:
                received = b""
            if not received:
                raise SideFailed(f"{self.name} {self._how_it_ended()}{where}{self._last_words()}")
            self._buffer += received
            if len(self._buffer) > _LONGEST_LINE:
                raise SideFailed(f"{self.name} sent a message without an end{where}")
        line, _, self._buffer = self._buffer.partition(b"\n")
        line = bytes(line)
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise SideFailed(f"{self.name} sent garbage{where}: {line[:60]!r}")
        self.spent = _seconds(message.get("spent")) or self.spent
        return message

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let a stopped side work for a while."""
        self.resume()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop every thread of the side, and return when they stand."""
        self._signal(signal.SIGSTOP)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def wait(self, accepted: tuple[int, ...]) -> None:
        """Wait until the session has ended.

        Raises:
            SideFailed: it does not end, or with another exit status.
        """
        try:
            status = self._process.wait(self._time_out_s)
        except subprocess.TimeoutExpired:
            raise SideFailed(f"{self.name} did not end in {self._time_out_s:g} s after its last benchmark") from None
        if status not in accepted:
            raise SideFailed(f"{self.name} {self._how_it_ended()} after its last benchmark{self._last_words()}")

    def kill(self) -> None:
        """End the side and what it started, stopped or not. Safe to call again."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._channel.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:  # once reaped, its number may be another process's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its channel"
        return f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"

    def _last_words(self) -> str:
        words = last_words(self._log.read_text(errors="replace"))
        return f" ({words})" if words else ""


def _seconds(said: Any) -> dict[str, float]:
    """Of a side older than this message, nothing; nor of one that says something else."""
    found = said if isinstance(said, dict) else {}
    return {str(name): float(value) for name, value in found.items() if type(value) is float and 0 <= value < 1e9}


def _texts(said: Any) -> dict[str, str]:
    """Of a side older than this message, nothing."""
    return {str(name): str(value)[:200] for name, value in said.items()} if isinstance(said, dict) else {}


def start(places: list[Checkout], arguments: list[str], logs: Path, time_out_s: float) -> list[Side]:
    """Start a pytest session at each place, with arguments and environment of equal size.

    Args:
        arguments: of pytest.
        logs: directory for what the sessions print.
    """
    policy = {} if any(name in os.environ for name in wait_policy.VARIABLES) else \
        wait_policy.ENVIRONMENTS[wait_policy.DEFAULT]  # also for a revision that does not know it
    environments = [{**os.environ, **policy, "PYTHONHASHSEED": "0", "PWD": str(place.directory), VARIABLE: "00000"}
                    for place in places]
    sizes = [sum(len(os.fsencode(name + value)) + 2 for name, value in environment.items())
             + sum(len(os.fsencode(word)) + 1 for word in [place.python, *place.words(arguments)])
             for place, environment in zip(places, environments, strict=True)]
    sides: list[Side] = []
    try:
        for place, environment, size in zip(places, environments, sizes, strict=True):
            environment[f"{VARIABLE}_PADDING"] = "." * (max(sizes) - size)
            with uninterrupted():
                sides.append(_start(place, arguments, environment, logs / f"{place.name}.log", time_out_s))
    except BaseException:
        for side in sides:
            side.kill()
        raise
    return sides


def _start(place: Checkout, arguments: list[str], environment: dict[str, str], log: Path, time_out_s: float) -> Side:
    ours, theirs = socket.socketpair()
    environment[VARIABLE] = f"{theirs.fileno():05}"
    # A group of its own in our session: should we be killed, the kernel wakes what is stopped in it and hangs it up.
    with theirs, log.open("wb") as output:
        process = subprocess.Popen(
            place.words(arguments), cwd=place.directory, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, pass_fds=[theirs.fileno()], process_group=0, preexec_fn=die_with_parent)
    return Side(place.name, process, ours, log, time_out_s)
