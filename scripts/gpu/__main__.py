"""Measures what only a GPU machine can, step by step, each in a process of its own, and writes one benchmark file and
its tables into OUT_DIR. A second call goes on where the first one stopped.

Exit codes: 0 every step is done, or says why this machine cannot run it; 1 a step failed (the others ran); 3 the total
limit was reached or Ctrl-C pressed: call again; 4 usage, or an interpreter that lacks a package.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from eagerbench.machine import quiet
from scripts.gpu import running, wheels
from scripts.gpu.running import DONE, FAILED, NOT_REACHED, ROOT, SKIPPED, Outcome, Running
from scripts.gpu.steps import Found, Step, matching, steps

TOTAL_S = 480
LANES = 3 if (os.cpu_count() or 1) >= 8 else 1
_USAGE = 4
_INSPECT_S = 120
_POLL_S = 0.1
_LEAST_SHARE = 0.5  # of a step's expected seconds: with less of the total left it is not begun


def main(arguments: list[str] | None = None) -> int:
    purpose, exit_codes = __doc__.split("\n\n")
    parser = argparse.ArgumentParser("scripts/gpu.sh", description=purpose, epilog=exit_codes)
    parser.exit_on_error = False
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="for marks, logs, result.json and result.md")
    parser.add_argument("--total", type=float, default=TOTAL_S, metavar="SECONDS",
                        help=f"limit of all steps together (default: {TOTAL_S})")
    parser.add_argument("--lanes", type=int, default=LANES, metavar="N", help="sessions side by side; while one "
                        f"measures the others are stopped (default here: {LANES})")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="steps by name; repeatable")
    parser.add_argument("--retry", action="store_true", help="also repeat the steps that failed")
    parser.add_argument("--list", action="store_true", help="print the steps and the seconds that they should take")
    parser.add_argument("--rehearse", action="store_true", help="the same steps on the CPU, with tiny models")
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as ended:
        return _USAGE if ended.code else 0
    except argparse.ArgumentError as error:
        return _refuse(str(error))
    found = matching(steps(chosen.rehearse), chosen.only)
    if not found:
        return _refuse(f"no step matches {', '.join(chosen.only)}; --list prints their names")
    if chosen.list:
        print("\n".join(f"{step.name:<34} {step.expected_s:>4.0f} s" for step in found))
        return 0
    if not chosen.total > 0:
        return _refuse(f"--total {chosen.total:g}: expected a number of seconds above 0")
    if chosen.lanes < 1:
        return _refuse(f"--lanes {chosen.lanes}: expected a whole number of at least 1")
    return _all(chosen, found)


def heed_signals() -> None:
    """End at SIGINT and SIGTERM with what is done. Behind `&` and nohup SIGINT is ignored from the start, and the
    sessions, which save what is finished at it, would inherit that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _all(chosen: argparse.Namespace, found: list[Step]) -> int:
    out = chosen.out.absolute()
    environment = {**wheels.environment(ROOT), quiet.VARIABLE: str(out / "quiet")}
    try:
        out.mkdir(parents=True, exist_ok=True)
        machine = _machine(environment)
        _refuse_another(out, machine, chosen.rehearse)
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    print(f"Python {machine['python']}, torch {machine['torch']}, {machine['gpu'] or 'no GPU'}", flush=True)
    session = Session(chosen, machine, environment)
    try:
        for step in found:
            session.add(step)
        session.wait_for(0)
    except KeyboardInterrupt:
        session.stop(found)
    return _end(out, [session.outcomes[step.name] for step in found], machine, environment)


class Session:
    """The steps of one call: those that share a machine side by side, in `--lanes`."""

    def __init__(self, chosen: argparse.Namespace, machine: Found, environment: dict[str, str]):
        self._chosen, self._machine, self._environment = chosen, machine, environment
        self._out, self._began = chosen.out.absolute(), time.monotonic()
        self._running: list[Running] = []
        self.outcomes: dict[str, Outcome] = {}
        quiet.start(self._out / "quiet")

    @property
    def left(self) -> float:
        """Seconds of the total limit."""
        return max(self._chosen.total - (time.monotonic() - self._began), 0)

    def add(self, step: Step) -> None:
        """Start a step as soon as there is room; one that needs no process ends at once."""
        outcome = self._earlier(step) or running.refused(step, self._machine)
        if outcome is None:
            alone = not step.shares or not all(one.step.shares for one in self._running)
            self.wait_for(0 if alone else self._chosen.lanes - 1)
            if step.kind == "memory":
                outcome = running.memory(step, self._out)
            elif self.left < _LEAST_SHARE * step.expected_s:
                said = f"{self.left:.0f} of {self._chosen.total:.0f} s were left"
                outcome = Outcome(step.name, NOT_REACHED, 0.0, said)
        if outcome:
            self._report(outcome)
            return
        while not self._started(step):  # a session measures: it must not be disturbed
            self._collect_over()
            time.sleep(_POLL_S)

    def _started(self, step: Step) -> bool:
        limit = step.limit_s * (self._chosen.lanes if step.shares else 1)  # it may wait while others measure
        try:
            with quiet.locked(self._out / "quiet", wait=False):
                self._running.append(Running(step, sys.executable, self._out, min(limit, max(self.left, 1)),
                                             self._environment))
                self._note()
        except BlockingIOError:
            return False
        return True

    def wait_for(self, most: int) -> None:
        """Until at most so many steps run."""
        while len(self._running) > most:
            if not self._collect_over():
                time.sleep(_POLL_S)

    def stop(self, found: list[Step]) -> None:
        """End what runs; neither it nor what follows was reached."""
        for one in self._running:
            one.end()
        for step in found:
            if step.name not in self.outcomes:
                self._report(Outcome(step.name, NOT_REACHED, 0.0, "interrupted"))

    def _collect_over(self) -> bool:
        """Whether a step was over, and is now reported."""
        over = [one for one in self._running if one.over()]
        for one in over:
            self._collect(one)
        return bool(over)

    def _collect(self, one: Running) -> None:
        outcome = one.end()
        self._running.remove(one)
        self._note()
        quiet.send([other.group for other in self._running], signal.SIGCONT)  # it may have ended while it measured
        if outcome.said.startswith("stopped after") and not self.left:
            outcome = replace(outcome, status=NOT_REACHED, said=f"cut off by the total limit; {outcome.said}")
        self._report(outcome)

    def _earlier(self, step: Step) -> Outcome | None:
        earlier = running.saved(step, self._out)
        if not earlier or (self._chosen.retry and earlier.status == FAILED):
            return None
        return replace(earlier, seconds=0.0, said=f"in an earlier call: {earlier.said}")

    def _note(self) -> None:
        quiet.note(self._out / "quiet", [one.group for one in self._running])

    def _report(self, outcome: Outcome) -> None:
        if not outcome.said.startswith("in an earlier call"):
            running.save(outcome, self._out)
        self.outcomes[outcome.step] = outcome
        print(f"{outcome.step:<34} {outcome.status:<11} {outcome.seconds:>4.0f} s  {outcome.said}", flush=True)


def _machine(environment: dict[str, str]) -> Found:
    """What `inspecting` says.

    Raises:
        ValueError: the interpreter lacks a package, or cannot say.
    """
    try:
        done = subprocess.run([sys.executable, "-m", "scripts.gpu.inspecting"], cwd=ROOT, env=environment, text=True,
                              capture_output=True, timeout=_INSPECT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{sys.executable} has not imported torch and transformers within {_INSPECT_S} s: stop what "
                         "else runs here, and call again") from None
    if done.returncode:
        raise ValueError(f"{sys.executable} cannot import what it needs: {done.stderr.strip().splitlines()[-1]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["lacking"]:
        raise ValueError(f"{sys.executable} lacks {', '.join(found['lacking'])}: name another, such as "
                         f"PYTHON=.venv/bin/python, or: {sys.executable} -m pip install {' '.join(found['lacking'])}")
    return found


def _refuse_another(out: Path, machine: Found, rehearse: bool) -> None:
    """One directory holds the results of one machine."""
    file = out / "machine.json"
    now = {"gpu": machine["gpu"], "torch": machine["torch"], "rehearsal": rehearse}
    marked = any(mark.is_file() for mark in (out / "marks").glob("*.json"))
    if file.exists() and marked:
        before = json.loads(file.read_text())
        if before != now and (before["gpu"] or before["rehearsal"]):
            raise ValueError(f"{out} holds results of {_named(before)}, this is {_named(now)}: name another directory")
    file.write_text(json.dumps(now))


def _named(machine: Found) -> str:
    where = "a rehearsal" if machine["rehearsal"] else machine["gpu"] or "no GPU"
    return f"{where} with torch {machine['torch']}"


def _end(out: Path, outcomes: list[Outcome], machine: Found, environment: dict[str, str]) -> int:
    """Write the result by a process of its own, which has the wheels, and say what is missing."""
    (out / "outcomes.json").write_text(json.dumps({
        "python": machine["python"], "steps": [vars(outcome) for outcome in outcomes]}))
    result = [sys.executable, "-m", "scripts.gpu.result", str(out)]
    made = subprocess.run(result, cwd=ROOT, env=environment, check=False)
    by_status = {status: [one.step for one in outcomes if one.status == status]
                 for status in (DONE, SKIPPED, FAILED, NOT_REACHED)}
    print("; ".join(f"{len(names)} {status}" for status, names in by_status.items()))
    if by_status[FAILED]:
        print(f"failed: {', '.join(by_status[FAILED])}; see {out / 'logs'}; --retry repeats them")
    if by_status[NOT_REACHED]:
        print(f"not reached: {', '.join(by_status[NOT_REACHED])}; call again to go on")
        return 3
    return 1 if by_status[FAILED] or made.returncode else 0


def _refuse(text: str) -> int:
    print(text, file=sys.stderr)
    return _USAGE


if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
