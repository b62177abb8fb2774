"""The journal of a session: JSON lines that are only ever appended, so that whatever ends it costs one line at most.

The first line says what the session is, each later one what happened in it:

* `part`: a process began to run the session, the first or one that goes on.
* `began`: a test, and then each `phase` of it.
* `finished`: a test, with its reports, its cell and its benchmark as pytest-benchmark would save it.
* `crashed`: a test that ended its process, or None where it was no test's; `spent_s` is of the process.
* `again`: tests whose earlier lines no longer count.
* `ended`: how a part ended that was asked to; likewise.
"""

import contextlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eagerbench.jsonfile import MOST_BYTES, UnreadableFile
from eagerbench.shown import count

FORMAT = "eagerbench-journal-1"
SUFFIX = ".jsonl"
Line = dict[str, Any]
_SECONDS = ("wall_s", "measured_s")
_SPENT = "spent_s"  # by a process from its start to its end


class Writer:
    """Appends lines to a journal, each by one call.

    Raises:
        OSError: the file cannot be made, or a line has no room. What was written of that line is taken back.
    """

    def __init__(self, file: Path):
        self.file = file
        self._descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":  # the writer before was killed in its last line
            self._append(b"\n")

    def write(self, text: str) -> None:
        """A line of JSON, given without its end."""
        self._append(text.encode("utf-8", "backslashreplace") + b"\n")

    def _append(self, data: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            if written:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, size)
            raise

    def close(self) -> None:
        os.close(self._descriptor)


def append(file: Path, line: Line) -> None:
    """One line to a journal that another process has written.

    Raises:
        OSError.
    """
    writer = Writer(file)
    try:
        writer.write(json.dumps(line))
    finally:
        writer.close()


@dataclass
class Content:
    """What a journal says.

    Attributes:
        header: its first line.
        parts: one a process that ran the session, in order.
        finished: the last line of every test that finished or crashed, by node id.
        crashes: every crash, also those of no test.
        begun: the last test that began and neither finished nor crashed, with the last phase that it entered.
        torn: lines that are none.
    """

    header: Line
    parts: list[Line] = field(default_factory=list)
    finished: dict[str, Line] = field(default_factory=dict)
    crashes: list[Line] = field(default_factory=list)
    begun: Line | None = None
    torn: int = 0

    def take(self, line: Line) -> None:
        part = self.parts[-1] if self.parts else {}
        if "part" in line:
            self.parts.append({**line, "finished": 0})
            self.begun = None
        elif "began" in line:
            self.begun = line
        elif "phase" in line and self.begun is not None:
            self.begun = {**self.begun, "phase": line["phase"]}
        elif "finished" in line:
            self.finished[str(line["finished"])] = line
            self.begun = None
            part["finished"] = part.get("finished", 0) + 1
            part.update({name: line[name] for name in _SECONDS if isinstance(line.get(name), float)})
            part["spent"] = line.get("spent")
        elif "crashed" in line:
            self.crashes.append(line)
            if line["crashed"] is not None:
                self.finished[str(line["crashed"])] = line
            self.begun = None
            part["ended"] = line.get("said", "crashed")
            part[_SPENT] = line.get(_SPENT)
        elif "again" in line:
            for name in line["again"]:
                self.finished.pop(name, None)
        elif "ended" in line:
            part["ended"] = line["ended"]
            part[_SPENT] = line.get(_SPENT)

    @property
    def tests(self) -> int:
        """How many were collected."""
        tests = self.header.get("tests")
        return tests if type(tests) is int else 0

    @property
    def complete(self) -> bool:
        """Whether all of them have finished."""
        return len(self.finished) >= self.tests


def read(file: Path) -> Content:
    """
    Raises:
        UnreadableFile: missing, too large, or its first line is not that of a journal.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UnreadableFile(f"{file}: larger than {MOST_BYTES >> 20} MiB")
        lines = file.read_bytes().split(b"\n")
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    header = _header(lines[0])
    if header.get("format") != FORMAT or not isinstance(header.get("file"), dict):
        raise UnreadableFile(f"{file}: not the journal of a session (its first line is not {FORMAT})")
    content = Content(header)
    for raw in lines[1:]:
        try:
            if raw:
                content.take(json.loads(raw))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            content.torn += 1
    return content


def _header(raw: bytes) -> Line:
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) else {}


def saved(content: Content) -> dict[str, Any]:
    """What a journal holds, as a pytest-benchmark file with cells: that of a session that ended there."""
    lines = list(content.finished.values())
    planned = content.header.get("cells")
    found = [*(planned if isinstance(planned, list) else []), *(line.get("cell") for line in lines)]
    cells = {cell["bench_id"]: cell for cell in found
             if isinstance(cell, dict) and isinstance(cell.get("bench_id"), str)}
    return {**content.header["file"],
            "benchmarks": [bench for line in lines if isinstance(bench := line.get("benchmark"), dict)],
            "eagerbench": {"cells": list(cells.values()), "session": seconds(content), "parts": parts(content)}}


def seconds(content: Content) -> dict[str, Any]:
    """Of all parts together, to the last test that finished in each: in the session, inside of calls, and of what."""
    return added(content.parts)


def added(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Seconds of several processes or sessions; what is none of them is left out."""
    found: dict[str, Any] = {name: float(sum(one[name] for one in several if _seconds(one.get(name))))
                             for name in _SECONDS}
    spent: dict[str, float] = {}
    for of_one in (one["spent"] for one in several if isinstance(one.get("spent"), dict)):
        spent.update({name: spent.get(name, 0.0) + value for name, value in of_one.items() if _seconds(value)})
    return {**found, **({"spent": spent} if spent else {})}


def _seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e9


def spent_s(content: Content) -> float:
    """Seconds of all parts from start to end; to its last finished test of one whose end nobody saw."""
    return sum(found for part in content.parts
               if isinstance(found := part.get(_SPENT) or part.get("wall_s"), float | int))


def parts(content: Content) -> list[Line]:
    """When each part started, how many tests finished in it, and how it ended if not by itself."""
    return [{name: part[name] for name in ("started", "finished", "ended") if name in part} for part in content.parts]


def left(file: Path, content: Content, again: str) -> list[str]:
    """What a journal holds, the command that goes on with it, and the one that reads it.

    Args:
        again: the session's command, without `--resume`.
    """
    quoted = shlex.quote(str(file))
    return [f"{len(content.finished)} of {count(content.tests, 'test')} finished, kept in {file}",
            f"  continue: {again} --resume={quoted}",
            f"  read: eagerbench summary {quoted}"]
