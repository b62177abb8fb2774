"""What a supervisor costs: the same session with it and without, in alternation, on a quiet machine.

Prints the ratio of each case's speed-up (isolated / not), its spread, and the wall time of both, and ends with 1 where
the goal is missed: speed-ups within 0.5 % of each other, a session at most 2 % longer.

Sample: python scripts/isolation_cost.py --sessions 6 -o docs/results/isolation.json
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
GOAL_RATIO, GOAL_LONGER = 0.005, 0.02
_MODES = {"isolated": (), "not isolated": ("--no-isolation",)}
_LOOK_S = 12.0  # into a session, when its supervisor waits
_DEFAULT = ["--model", "minilm", "--variant", "sdpa", "--variant", "torchscript-freeze", "--batch-sizes", "4",
            "--sequence-lengths", "64", "--threads", "1", "--time-budget", "10", "--peaks", "here"]


@dataclass
class Seen:
    """Of all sessions of a kind: wall seconds, and the logs of each case's speed-ups.

    Attributes:
        rss, cpu_s: bytes and processor seconds of the process that was started (isolated: the supervisor), once in
            each session.
    """

    seconds: list[float] = field(default_factory=list)
    logs: dict[str, list[float]] = field(default_factory=dict)
    rss: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


def one(arguments: list[str], mode: str, scratch: Path, seen: Seen) -> tuple[float, dict[str, Any]]:
    """Seconds of a session, and the file that it saved."""
    file = scratch / "run.json"
    command = [sys.executable, "-m", "eagerbench", "run", "test_latency.py", *arguments, *_MODES[mode],
               "--benchmark-json", str(file), "--benchmark-storage", f"file://{scratch}/saved"]
    began = time.monotonic()
    with open(scratch / "said", "wb+") as said, subprocess.Popen(
            command, cwd=ROOT, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
        with contextlib.suppress(psutil.NoSuchProcess):
            waiting = psutil.Process(process.pid)
            if waiting.status() != psutil.STATUS_ZOMBIE:
                seen.rss.append(waiting.memory_info().rss)
                seen.cpu_s.append(sum(waiting.cpu_times()[:2]))
        process.wait()
        seconds = time.monotonic() - began
    if not file.exists():
        sys.exit(f"a session failed:\n{(scratch / 'said').read_text(errors='replace')[-2500:]}")
    content = json.loads(file.read_text())
    file.unlink()
    return seconds, content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=6, help="of each kind (default: 6)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write what was found as JSON")
    parser.add_argument("arguments", nargs="*", help="of `eagerbench run test_latency.py`, behind --")
    chosen = parser.parse_args()
    arguments = chosen.arguments or _DEFAULT
    kinds = {mode: Seen() for mode in _MODES}
    with tempfile.TemporaryDirectory() as name:
        for number in range(chosen.sessions):
            for mode in list(_MODES)[:: 1 if number % 2 else -1]:
                seen = kinds[mode]
                taken, content = one(arguments, mode, Path(name), seen)
                if number or chosen.sessions == 1:  # the first ones export
                    seen.seconds.append(taken)
                for record in (bench["extra_info"] for bench in content["benchmarks"]):
                    if record["conditions"].get("usable", True):
                        logs = seen.logs.setdefault(record["identity"]["bench_id"], [])
                        logs.append(math.log(record["timing"]["speedup_vs_eager"]))
                print(f"{number + 1} of {chosen.sessions}, {mode}: {taken:.1f} s", file=sys.stderr, flush=True)
    found = summary(kinds) | {"arguments": arguments, "datetime": content["datetime"],
                              "machine_info": content["machine_info"]}
    if chosen.output:
        chosen.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return report(found)


def summary(kinds: dict[str, Seen]) -> dict[str, Any]:
    """As docs/results/isolation.json holds it: seconds of every session, and of each case the ratio of medians."""
    with_it, without = (kinds[mode] for mode in _MODES)
    cases = {}
    for case in with_it.logs.keys() & without.logs.keys():
        both = with_it.logs[case], without.logs[case]
        cases[case] = {"ratio": math.exp(statistics.median(both[0]) - statistics.median(both[1])),
                       "spread": max(statistics.stdev(one) if len(one) > 1 else 0.0 for one in both),
                       "sessions": [len(one) for one in both]}
    return {"cases": dict(sorted(cases.items())), "isolated_s": with_it.seconds, "not_isolated_s": without.seconds,
            "supervisor_rss_bytes": with_it.rss, "supervisor_cpu_s": with_it.cpu_s}


def longer(found: dict[str, Any]) -> float:
    """By which part a session is longer."""
    return statistics.median(found["isolated_s"]) / statistics.median(found["not_isolated_s"]) - 1


def report(found: dict[str, Any]) -> int:
    """Print both comparisons; 1 where one misses its goal."""
    for name, case in found["cases"].items():
        print(f"{name}: speed-up isolated / not {case['ratio']:.4f}, spread of sessions {case['spread']:.2%} "
              f"({case['sessions'][0]} and {case['sessions'][1]} sessions)")
    print(f"session: {statistics.median(found['isolated_s']):.1f} s isolated, "
          f"{statistics.median(found['not_isolated_s']):.1f} s not: {longer(found):+.2%}")
    if found["supervisor_rss_bytes"]:
        print(f"supervisor: {statistics.median(found['supervisor_rss_bytes']) / 1e6:.0f} MB, "
              f"{statistics.median(found['supervisor_cpu_s']):.2f} s of processor time")
    missed = any(abs(math.log(case["ratio"])) > GOAL_RATIO for case in found["cases"].values())
    return int(missed or longer(found) > GOAL_LONGER)


if __name__ == "__main__":
    sys.exit(main())
