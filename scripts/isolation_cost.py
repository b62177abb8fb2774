"""What a supervisor costs: the same session with it and without, in alternation, on a quiet machine.

Prints the ratio of each case's speed-up (isolated / not), its spread, and the wall time of both, and ends with 1 where
the goal is missed: speed-ups within 0.5 % of each other, a session at most 2 % longer.

Sample: python scripts/isolation_cost.py --sessions 6 -- --model minilm --variant sdpa --variant torchscript-freeze
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
_GOAL_RATIO, _GOAL_LONGER = 0.005, 0.02
_MODES = {"isolated": (), "not isolated": ("--no-isolation",)}


def one(arguments: list[str], mode: str, scratch: Path) -> tuple[float, dict[str, float]]:
    """Seconds of a session, and the speed-up over eager of each of its cases."""
    file = scratch / "run.json"
    command = [sys.executable, "-m", "eagerbench", "run", "test_latency.py", *arguments, *_MODES[mode],
               "--benchmark-json", str(file), "--benchmark-storage", f"file://{scratch}/saved"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    seconds = time.monotonic() - began
    if not file.exists():
        sys.exit(f"a session failed:\n{done.stdout[-2000:]}{done.stderr[-500:]}")
    records = [bench["extra_info"] for bench in json.loads(file.read_text())["benchmarks"]]
    file.unlink()
    return seconds, {record["identity"]["bench_id"]: record["timing"]["speedup_vs_eager"] for record in records
                     if record["conditions"].get("usable", True)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=6, help="of each kind (default: 6)")
    parser.add_argument("arguments", nargs="*", help="of `eagerbench run test_latency.py`, behind --")
    chosen = parser.parse_args()
    arguments = chosen.arguments or ["--model", "minilm", "--variant", "sdpa", "--variant", "torchscript-freeze",
                                     "--batch-sizes", "4", "--sequence-lengths", "64", "--threads", "1",
                                     "--time-budget", "10", "--peaks", "here"]
    seconds: dict[str, list[float]] = {mode: [] for mode in _MODES}
    logs: dict[str, dict[str, list[float]]] = {mode: {} for mode in _MODES}
    with tempfile.TemporaryDirectory() as name:
        for number in range(chosen.sessions):
            for mode in list(_MODES)[:: 1 if number % 2 else -1]:
                taken, found = one(arguments, mode, Path(name))
                if number or chosen.sessions == 1:  # the first ones export
                    seconds[mode].append(taken)
                for case, speedup in found.items():
                    logs[mode].setdefault(case, []).append(math.log(speedup))
                print(f"{number + 1} of {chosen.sessions}, {mode}: {taken:.1f} s", file=sys.stderr, flush=True)
    return report(seconds, logs)


def report(seconds: dict[str, list[float]], logs: dict[str, dict[str, list[float]]]) -> int:
    """Print both comparisons; 1 where one misses its goal."""
    with_it, without = _MODES
    missed = False
    for case in logs[with_it].keys() & logs[without].keys():
        both = [logs[mode][case] for mode in _MODES]
        difference = statistics.median(both[0]) - statistics.median(both[1])
        spread = max(statistics.stdev(one) if len(one) > 1 else 0.0 for one in both)
        missed = missed or abs(difference) > _GOAL_RATIO
        print(f"{case}: speed-up isolated / not {math.exp(difference):.4f}, spread of sessions {spread:.2%} "
              f"({len(both[0])} and {len(both[1])} sessions)")
    longer = statistics.median(seconds[with_it]) / statistics.median(seconds[without]) - 1
    print(f"session: {statistics.median(seconds[with_it]):.1f} s isolated, {statistics.median(seconds[without]):.1f} s "
          f"not: {longer:+.2%}")
    return int(missed or longer > _GOAL_LONGER)


if __name__ == "__main__":
    sys.exit(main())
