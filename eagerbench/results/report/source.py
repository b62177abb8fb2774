"""The files of a report, reduced to rows: one a record, and one a case that failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eagerbench import jsonfile
from eagerbench.results import headline, records, summary
from eagerbench.results.decode import decode
from eagerbench.results.headline import Headline
from eagerbench.results.record import Record

# Statuses of cells that are no rows: they are in the matrix, or have a record.
_SHOWN_APART = ("skipped", "timed", "not run")
_CRASH_LINES = 20  # of what was printed, and of the stack


@dataclass(frozen=True)
class Source:
    """A file.

    Attributes:
        benchmarks: those with a sound record.
        cells: planned cases, those that a matrix can be made of.
        session: its seconds.
        left_out: a line for whatever of it is not in the report.
        content: the file without its benchmarks and cells.
    """

    file: Path
    benchmarks: Sequence[Mapping[str, Any]]
    cells: Sequence[Mapping[str, str]]
    session: Mapping[str, Any]
    left_out: Sequence[str]
    content: Mapping[str, Any]

    @property
    def when(self) -> str:
        """`2026-11-28 11:04 UTC`, empty where the file does not say."""
        text = self.content.get("datetime")
        return f"{text[:10]} {text[11:16]}{_zone(text)}" if isinstance(text, str) and len(text) >= 16 else ""

    @property
    def commit(self) -> str:
        """Twelve digits of the commit, with `changed` where files were."""
        info = self.content.get("commit_info")
        info = info if isinstance(info, dict) else {}
        name = str(info.get("id") or "")[:12]
        return f"{name}, with changes" if name and info.get("dirty") else name

    @property
    def machine(self) -> Mapping[str, Any]:
        info = self.content.get("machine_info")
        return info if isinstance(info, dict) else {}


def _zone(text: str) -> str:
    return " UTC" if text.endswith(("+00:00", "Z")) else ""


@dataclass(frozen=True)
class Row:
    """A record with its benchmark, or a case that failed and has none.

    Attributes:
        source: place of its file among those of the report.
        status: `timed`, `unusable`, or what the cell says.
        reason: why it is not timed or not usable; empty where it is.
        log: of a case that crashed: the last lines that it printed, and its stack.
    """

    id: str
    source: int
    model: str
    variant: str
    experiment: str
    workload: str
    status: str
    reason: str = ""
    record: Record | None = None
    headline: Headline | None = None
    bench: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""

    @property
    def usable(self) -> bool:
        return self.record is not None and self.status == "timed"


def read(paths: Sequence[Path]) -> list[Source]:
    """Files and directories of them, in their order.

    Raises:
        UnreadableFile: a file that is none, or that has neither a record nor a planned case of this suite.
    """
    found = []
    for file in records.expand(list(paths)):
        content = records.read(file)
        benchmarks, problems = records.sound(content)
        cells, session, bad = summary.planned(content)
        jsonfile.refuse(file, problems if problems and not benchmarks else [])
        if not benchmarks and not cells:
            jsonfile.refuse(file, bad or ["no record of eagerbench in it"])
        rest = {name: value for name, value in content.items() if name != "benchmarks"}
        found.append(Source(file, benchmarks, cells, session, [*problems, *bad], rest))
    return found


def rows(sources: Sequence[Source]) -> list[Row]:
    """Records first, in their order, then failed cases; of each file in turn."""
    found = []
    for place, source in enumerate(sources):
        cells = {cell["bench_id"]: cell for cell in source.cells}
        timed = [_row(place, bench, cells) for bench in source.benchmarks]
        known = {row.id for row in timed}
        found += timed
        found += [_failed(place, cell) for cell in source.cells
                  if cell["status"] not in _SHOWN_APART and cell["bench_id"] not in known]
    return found


def _row(place: int, bench: Mapping[str, Any], cells: Mapping[str, Mapping[str, str]]) -> Row:
    record = decode(bench["extra_info"])
    identity, conditions = record.identity, record.conditions
    cell = cells.get(identity.bench_id, {})
    return Row(identity.bench_id, place, identity.model, identity.variant, identity.experiment, identity.workload,
               "timed" if conditions.usable else "unusable", conditions.unusable_reason or "", record,
               headline.of_record(record, bench["stats"]["median"]), bench, _log(cell))


def _failed(place: int, cell: Mapping[str, Any]) -> Row:
    return Row(cell["bench_id"], place, cell["model"], cell["variant"], str(cell.get("experiment", "latency")),
               cell["workload"], cell["status"], cell["reason"], log=_log(cell))


def _log(cell: Mapping[str, Any]) -> str:
    """What a case printed before it ended its process, then its stack, the innermost call first; or its `log`."""
    crash = cell.get("crash")
    if not isinstance(crash, dict):
        return "\n".join(_lines(cell.get("log")))
    stack = _lines(crash.get("stack"))
    return "\n".join([*_lines(crash.get("stderr"))[-_CRASH_LINES:], *(["Stack:"] if stack else []),
                      *stack[:_CRASH_LINES]])


def _lines(text: Any) -> list[str]:
    return list(map(str, text)) if isinstance(text, list) else str(text or "").splitlines()


def latest(found: Sequence[Row]) -> list[Row]:
    """The last row of each case: what decisions and plots are made of where files have a case twice."""
    return list({row.id: row for row in found}.values())
