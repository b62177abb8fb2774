"""Measures what only a GPU machine can, step by step, each in a process of its own, and writes one benchmark file and
its tables into OUT_DIR. A second call goes on where the first one stopped.

Exit codes: 0 every step is done, or says why this machine cannot run it; 1 a step failed (the others ran); 3 the total
limit was reached or Ctrl-C pressed: call again; 4 usage, or an interpreter that lacks a package.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from scripts.gpu import running, wheels
from scripts.gpu.running import DONE, FAILED, NOT_REACHED, ROOT, SKIPPED, Outcome
from scripts.gpu.steps import Found, Step, matching, steps

TOTAL_S = 480
_USAGE = 4
_LEAST_SHARE = 0.5  # of a step's expected seconds: with less of the total left it is not begun


def main(arguments: list[str] | None = None) -> int:
    purpose, exit_codes = __doc__.split("\n\n")
    parser = argparse.ArgumentParser("scripts/gpu.sh", description=purpose, epilog=exit_codes)
    parser.exit_on_error = False
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="for marks, logs, result.json and result.md")
    parser.add_argument("--total", type=float, default=TOTAL_S, metavar="SECONDS",
                        help=f"limit of all steps together (default: {TOTAL_S})")
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
    return _all(chosen, found)


def heed_signals() -> None:
    """End at SIGINT and SIGTERM with what is done. Behind `&` and nohup SIGINT is ignored from the start, and the
    sessions, which save what is finished at it, would inherit that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _all(chosen: argparse.Namespace, found: list[Step]) -> int:
    out, began = chosen.out.absolute(), time.monotonic()
    environment = wheels.environment(ROOT)
    try:
        out.mkdir(parents=True, exist_ok=True)
        machine = _machine(environment)
        _refuse_another(out, machine, chosen.rehearse)
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    print(f"Python {machine['python']}, torch {machine['torch']}, {machine['gpu'] or 'no GPU'}", flush=True)
    outcomes, interrupted = [], False
    for step in found:
        left = chosen.total - (time.monotonic() - began)
        try:
            outcome = _interrupted(step) if interrupted else _one(step, chosen, machine, left, environment)
        except KeyboardInterrupt:
            interrupted, outcome = True, _interrupted(step)
        outcomes.append(outcome)
        print(f"{step.name:<34} {outcome.status:<11} {outcome.seconds:>4.0f} s  {outcome.said}", flush=True)
    return _end(out, outcomes, machine, environment)


def _interrupted(step: Step) -> Outcome:
    return Outcome(step.name, NOT_REACHED, 0.0, "interrupted")


def _one(step: Step, chosen: argparse.Namespace, machine: Found, left: float, environment: dict[str, str]) -> Outcome:
    """Run a step unless an earlier call did, or too little time is left."""
    out = chosen.out.absolute()
    earlier = running.saved(step, out)
    if earlier and not (chosen.retry and earlier.status == FAILED):
        return Outcome(step.name, earlier.status, 0.0, f"in an earlier call: {earlier.said}")
    if left < _LEAST_SHARE * step.expected_s and not any(need(machine) for need in step.needs):
        return Outcome(step.name, NOT_REACHED, 0.0, f"{max(left, 0):.0f} of {chosen.total:.0f} s were left")
    outcome = running.run(step, sys.executable, out, machine, min(step.limit_s, max(left, 1)), environment)
    if outcome.status == FAILED and left < step.limit_s and outcome.seconds >= left - 1:
        return Outcome(step.name, NOT_REACHED, outcome.seconds, f"cut off by the total limit; {outcome.said}")
    running.save(outcome, out)
    return outcome


def _machine(environment: dict[str, str]) -> Found:
    """What `inspecting` says.

    Raises:
        ValueError: the interpreter lacks a package, or cannot say.
    """
    done = subprocess.run([sys.executable, "-m", "scripts.gpu.inspecting"], cwd=ROOT, env=environment, text=True,
                          capture_output=True, timeout=120, check=False)
    if done.returncode:
        raise ValueError(f"{sys.executable} cannot import what it needs: {done.stderr.strip().splitlines()[-1]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["lacking"]:
        raise ValueError(f"{sys.executable} lacks {', '.join(found['lacking'])}: name another one, such as "
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
