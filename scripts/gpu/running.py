"""One step as a process with a time limit, and what became of it."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
import xml.etree.ElementTree as xml
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eagerbench.isolation import journal
from eagerbench.jsonfile import UnreadableFile
from scripts.gpu.steps import Found, Step, command

ROOT = Path(__file__).parents[2]
DONE, SKIPPED, FAILED, NOT_REACHED = "done", "skipped", "failed", "not reached"
_GRACE_S = (10.0, 5.0)  # after SIGINT, which lets pytest save what is finished; after SIGTERM


@dataclass(frozen=True)
class Outcome:
    """What became of a step: DONE, SKIPPED, FAILED or NOT_REACHED, its seconds, and a line that says more."""

    step: str
    status: str
    seconds: float
    said: str


def refused(step: Step, found: Found) -> Outcome | None:
    """The outcome of a step that this machine cannot run; None for any other."""
    reason = next((reason for need in step.needs if (reason := need(found))), None)
    return Outcome(step.name, SKIPPED, 0.0, reason) if reason else None


class Running:
    """A step that was started.

    Args:
        python: the interpreter.
        out: its output goes to `logs` there, its file to `steps`.
        limit_s: it is `over` after these seconds.

    Attributes:
        group: its process group.
    """

    def __init__(self, step: Step, python: str, out: Path, limit_s: float, environment: Mapping[str, str]):
        self.step = step
        self._out, self._limit_s, self._began = out, limit_s, time.monotonic()
        self._log, self._file = out / "logs" / f"{step.name.replace('/', '-')}.log", out / "steps" / step.file
        for place in (self._log, self._file):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(command(step, python, out), cwd=ROOT, stdout=output,
                                             stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=dict(environment),
                                             start_new_session=True)
        self.group = self._process.pid

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def over(self) -> bool:
        return self._process.poll() is not None or self.seconds > self._limit_s

    def end(self) -> Outcome:
        """What became of it; stops what still runs."""
        code = self._process.poll()
        _end(self._process)
        if self.step.kind == "session":
            _take_journal(self._out, self._file)
        status, said = _read(self.step, self._file, self._log, code)
        if code is None:
            status, said = FAILED, f"stopped after {self.seconds:.0f} s (limit {self._limit_s:.0f} s); {said}"
        return Outcome(self.step.name, status, self.seconds, said)


def save(outcome: Outcome, out: Path) -> None:
    """The mark of a step."""
    file = _mark(out, outcome.step)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(outcome)))


def saved(step: Step, out: Path) -> Outcome | None:
    """The mark that an earlier call left of a step that need not run again: one done or failed."""
    try:
        outcome = Outcome(**json.loads(_mark(out, step.name).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return outcome if outcome.status in (DONE, FAILED) else None


def _mark(out: Path, name: str) -> Path:
    return out / "marks" / f"{name.replace('/', '-')}.json"


def _end(process: subprocess.Popen) -> None:
    """Nothing of the step is left, not even what a killed session started."""
    for how, wait in zip((signal.SIGINT, signal.SIGTERM), _GRACE_S, strict=True):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
            os.killpg(process.pid, signal.SIGCONT)  # another session may have stopped it (eagerbench.machine.quiet)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _take_journal(out: Path, file: Path) -> None:
    """What a session had finished when it was lost (fixtures/journal.py). Its command, which names `file`, is in it."""
    for left in (out / "artifacts" / "interrupted").glob(f"*{journal.SUFFIX}"):
        with contextlib.suppress(UnreadableFile, ValueError, OSError):
            content = journal.read(left)
            if str(file) in shlex.split(str(content.header.get("command"))):
                if not file.exists() or not file.stat().st_size:
                    file.write_text(json.dumps(journal.saved(content)))
                left.unlink()
                left.with_suffix(".lock").unlink(missing_ok=True)


def _read(step: Step, file: Path, log: Path, code: int | None) -> tuple[str, str]:
    read = {"session": _session, "tests": _tests, "facts": _facts}[step.kind]
    try:
        status, said = read(file)
    except (OSError, ValueError, KeyError, xml.ParseError):
        reasons = _skip_reasons(log)
        if code in (0, 5) and reasons:  # 5 of pytest: nothing was collected
            return SKIPPED, "; ".join(reasons)
        return FAILED, f"{_ended(code)}: {_last_line(log)}"
    if status == DONE and code not in (0, None):
        return FAILED, f"{_ended(code)}; {said}; {_last_line(log)}"
    return status, said


def _session(file: Path) -> tuple[str, str]:
    cells = json.loads(file.read_text())["eagerbench"]["cells"]
    timed = sum(cell["status"] == "timed" for cell in cells)
    others = [(cell["status"], cell["reason"]) for cell in cells if cell["status"] in ("skipped", "unusable", "failed")]
    said = "; ".join([f"{timed} timed", *(f"{status}: {reason}" for status, reason in
                                                          dict.fromkeys(others))])
    if any(status == "failed" for status, _ in others):
        return FAILED, said
    return (DONE if timed else SKIPPED), said


def _tests(file: Path) -> tuple[str, str]:
    cases = list(xml.parse(file).getroot().iter("testcase"))
    wrong = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case.find("skipped") for case in cases if case.find("skipped") is not None]
    parts = [f"{len(cases) - len(wrong) - len(skipped)} passed"]
    if skipped:
        reasons = dict.fromkeys(one.get("message", "") for one in skipped)
        parts.append(f"{len(skipped)} skipped ({'; '.join(reasons)})")
    if wrong:
        parts.append(f"{len(wrong)} failed: {', '.join(case.get('name', '') for case in wrong)}")
    return (FAILED if wrong else DONE if len(cases) > len(skipped) else SKIPPED), ", ".join(parts)


def _facts(file: Path) -> tuple[str, str]:
    found = json.loads(file.read_text())
    peaks = ", ".join(f"{dtype} {value / 1e12:.1f}" for dtype, value in found["peak_flops_per_s"].items() if value)
    return DONE, f"{found['gpu']}, driver {found.get('driver') or 'unknown'}; TFLOP/s: {peaks}"


def memory(step: Step, out: Path) -> Outcome:
    """Step (f) reads what the sessions of step (c) noted, each in its own process."""
    peaks: dict[str, int] = {}
    for file in sorted((out / "steps").glob("latency-*.json")):
        for record in records(file):
            if peak := record.get("costs", {}).get("peak_gpu_bytes"):  # this script wrote it: nested by topic
                variant = record["identity"]["variant"]
                peaks[variant] = max(peaks.get(variant, 0), peak)
    if not peaks:
        return Outcome(step.name, SKIPPED, 0.0, "no latency step has measured GPU memory")
    said = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in peaks.items())
    return Outcome(step.name, DONE, 0.0, f"largest peak in MiB: {said}")


def records(file: Path) -> list[dict[str, Any]]:
    """The records of a session's file; none when it cannot be read."""
    try:
        return [bench["extra_info"] for bench in json.loads(file.read_text())["benchmarks"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _skip_reasons(log: Path) -> list[str]:
    """Of skipped tests, and of cases that cannot run, which are no tests (fixtures/outcomes.py)."""
    lines = log.read_text(errors="replace").splitlines()
    found = (re.match(r"(?:SKIPPED \[\d+\] [^:]+(?::\d+)?|  \d+ of them): (.+)", line) for line in lines)
    return list(dict.fromkeys(match[1] for match in found if match))


def _last_line(log: Path) -> str:
    """The last line that names an error, else the last one."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(E\s+)?(\w+\.)*\w*(Error|Exception)\b|ERROR", line)]
    return ([*lines, *errors] or ["no output"])[-1][:300]


def _ended(code: int | None) -> str:
    if code is None:
        return "no file was left"
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
