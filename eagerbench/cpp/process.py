"""A runner in C++ as a process: it loads an artifact, is given arrays, is called, and says how long each call took.

Requests and answers are lines; arrays follow theirs in NumPy's format (runners/cpp/serve.hpp has the other end).
"""

import io
import os
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eagerbench.causes import last_words
from eagerbench.errors import Crashed, Refused
from eagerbench.machine import allocator, elsewhere, readings

CONFIG = "runner.txt"


def write_config(directory: Path, values: Mapping[str, object]) -> Path:
    """`runner.txt` of a directory, flat lines of key=value.

    Raises:
        ValueError: a value has a line break, or a list has a name with a comma.
    """
    lines = []
    for key, value in values.items():
        text = ",".join(value) if isinstance(value, list) else str(value)
        if "\n" in text or (isinstance(value, list) and any("," in name for name in value)):
            raise ValueError(f"{key}={text!r} cannot be a line of {CONFIG}")
        lines.append(f"{key}={text}\n")
    file = directory / CONFIG
    file.write_text("".join(lines))
    return file


class RunnerProcess:
    """
    Args:
        name: of the variant, for what is said when it dies.
        program: the runner.
        config: what `runner.txt` has, besides the allocator, which is that of this process.
        environment: variables besides those of this process.

    Attributes:
        pid: its number.
        said: what it said when it was ready: `version`, `threads`, `load_ns`.

    Raises:
        Refused: it cannot load the artifact, with its reason.
        Crashed: it died.
    """

    def __init__(self, name: str, program: Path, config: Mapping[str, object],
                 environment: Mapping[str, str] | None = None):
        self._name = name
        self._directory = tempfile.mkdtemp(prefix="eagerbench-runner-")
        pinned = {"allocator": "pinned"} if allocator.in_effect() == "pinned" else {}
        write_config(Path(self._directory), {**config, **pinned})
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [program, self._directory, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env={**os.environ, **(environment or {})}, bufsize=0)
        self.pid = self._process.pid
        self._in, self._out = self._process.stdin, io.BufferedReader(self._process.stdout, 2**20)
        readings.count_in(self.pid)
        self.close = weakref.finalize(self, _end, self._process, self._errors, self._directory)
        self._held = 0
        self._dropped: list[int] = []
        self.said = dict(part.partition("=")[::2] for part in self._answer("loading its artifact")[1:])

    def prepare(self, arrays: Mapping[str, np.ndarray]) -> "Prepared":
        """Arrays as the runtime holds them, in the process, for as long as what is returned lives."""
        with _Elsewhere():
            while self._dropped:
                self._ask(f"forget {self._dropped.pop()}")
                self._answer("forgetting inputs")
            self._held += 1
            parts = [f"prepare {self._held} {len(arrays)}\n".encode()]
            for name, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
                parts += [f"{name} {content.tell()}\n".encode(), content.getvalue()]
            self._send(b"".join(parts))
            self._answer("being given its inputs")
        return Prepared(self, self._held)

    def call(self, number: int) -> None:
        """One call on prepared inputs. What the pipe takes is noted as spent elsewhere."""
        start = time.perf_counter()
        self._ask(f"call {number}")
        took_s = int(self._answer("being called")[1]) / 1e9
        elsewhere.add(time.perf_counter() - start - took_s)

    def outputs(self) -> dict[str, np.ndarray]:
        """Of the last call, by name."""
        with _Elsewhere():
            self._ask("outputs")
            found = {}
            for _ in range(int(self._answer("giving its outputs")[1])):
                name, _, size = self._line("giving its outputs").rpartition(" ")
                found[name] = np.load(io.BytesIO(self._out.read(int(size))), allow_pickle=False)
            return found

    def facts(self) -> list[dict[str, str]]:
        """What a probe asks for: a dict for each line of key=value, with tabs between."""
        with _Elsewhere():
            self._ask("facts")
            size = int(self._answer("telling how it runs")[1])
            lines = self._out.read(size).decode(errors="replace").splitlines()
        return [dict(part.partition("=")[::2] for part in line.split("\t") if part) for line in lines]

    def libraries(self) -> set[Path]:
        """Files of code that it has loaded, its program included."""
        lines = Path(f"/proc/{self.pid}/maps").read_text().splitlines()
        return {Path(line.split(maxsplit=5)[5]) for line in lines if "/" in line and "x" in line.split()[1]}

    def printed(self) -> str:
        """What it and its libraries have printed, when it has ended."""
        self._in.close()
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def _ask(self, line: str) -> None:
        self._send(f"{line}\n".encode())

    def _send(self, content: bytes) -> None:
        view = memoryview(content)
        try:
            while view:
                view = view[self._in.write(view):]
        except BrokenPipeError:
            raise self._crashed("being asked") from None

    def _line(self, doing: str) -> str:
        line = self._out.readline()
        if not line.endswith(b"\n"):
            raise self._crashed(doing)
        return line[:-1].decode(errors="replace")

    def _answer(self, doing: str) -> list[str]:
        line = self._line(doing)
        if line.startswith("error "):
            raise Refused(f"its C++ runner reports, {doing}: {line.removeprefix('error ')}")
        return line.split()

    def _crashed(self, doing: str) -> Crashed:
        code = self._process.wait()
        self._errors.seek(0)
        words = last_words(self._errors.read().decode(errors="replace"))
        how = f"ended with status {code}" if code >= 0 else signal.Signals(-code).name
        said = f" ({words})" if words else ""
        return Crashed(f"crashed: {how} in {self._name} while {doing}, in its runner in C++{said}")


class Prepared:
    """Inputs that a runner holds, until this is gone; it is told so when it gets others."""

    def __init__(self, process: RunnerProcess, number: int):
        self.number = number
        weakref.finalize(self, process._dropped.append, number)


class _Elsewhere:
    """While entered, all seconds are those of the pipe."""

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        elsewhere.add(time.perf_counter() - self._start)


def _end(process: subprocess.Popen, errors, directory: str) -> None:
    """It ends when its input does; one that does not is killed."""
    readings.leave_out(process.pid)
    process.stdin.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    errors.close()
    shutil.rmtree(directory, ignore_errors=True)
