"""How long the commands that read many files take, and their peak memory: `python scripts/scale.py`.

Made files of 200 benchmarks: plain ones as any pytest-benchmark suite saves them, and ones with a record of eagerbench
each. Every command runs in a process of its own. Nothing is judged: the numbers are printed.
"""

import argparse
import copy
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 9
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--benchmarks", type=int, default=200)
    parser.add_argument("--kind", choices=("plain", "records", "both"), default="both")
    parser.add_argument("--only", choices=("compare", "history"), help="one of the commands")
    chosen = parser.parse_args()
    for kind in ("plain", "records") if chosen.kind == "both" else (chosen.kind,):
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            size = made(place, kind, chosen.files, chosen.benchmarks)
            print(f"{chosen.files} files x {chosen.benchmarks} benchmarks, {kind}: {size / 2**20:.0f} MiB")
            commands = {"compare": ["compare", place / "old", "--with", place / "new"]}
            if kind == "records":
                commands["history"] = ["history", "add", place / "old", place / "new", "--store", place / "store"]
                commands["report"] = ["history", "report", "--store", place / "store", "-o", place / "history.html"]
            for name, command in commands.items():
                if chosen.only and name != chosen.only and not (chosen.only == "history" and name == "report"):
                    continue
                took, peak, code = timed(command)
                print(f"  {name}: {took:.1f} s, {peak / 2**20:.0f} MiB, exit code {code}")
            page = place / "history.html"
            if page.exists():
                print(f"  history.html: {page.stat().st_size / 2**20:.2f} MiB")
    return 0


def timed(command: list) -> tuple[float, int, int]:
    """Seconds, peak bytes and exit code of a command of eagerbench."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "eagerbench", *map(str, command)], cwd=ROOT,
                             stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    return time.perf_counter() - start, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)


def made(directory: Path, kind: str, files: int, benchmarks: int) -> int:
    """Files of two sides that were started in turns; their bytes."""
    content = json.loads((ROOT / "docs" / "results" / "bench.json").read_text(encoding="utf-8"))
    model = next(bench for bench in content["benchmarks"] if "identity" in bench["extra_info"]
                 and bench["extra_info"]["identity"]["experiment"] == "latency")
    rng, size = random.Random(1), 0
    for side in ("old", "new"):
        (directory / side).mkdir()
    for number in range(files):
        started = FIRST + timedelta(hours=number)
        ran = {**content, "datetime": started.isoformat(),
               "benchmarks": [one(model, kind, place, rng) for place in range(benchmarks)]}
        ran.pop("eagerbench")
        text = json.dumps(ran)
        size += len(text)
        (directory / ("old", "new")[number % 2] / f"{number:05}.json").write_text(text)
    return size


def one(model: dict, kind: str, place: int, rng: random.Random) -> dict:
    """A benchmark with a few rounds of its own."""
    rounds = [0.01 * rng.lognormvariate(0, 0.02) for _ in range(ROUNDS)]
    name = f"test_made[{place}]"
    stats = {**model["stats"], "data": rounds, "median": sorted(rounds)[ROUNDS // 2], "rounds": ROUNDS}
    made_of = {**model, "name": name, "fullname": name, "stats": stats, "extra_info": {}}
    if kind == "records":
        record = copy.deepcopy(model["extra_info"])
        record["identity"] |= {"bench_id": f"minilm/{record['identity']['variant']}/b{place + 1}/s128/cpu",
                               "workload": f"b{place + 1}-s128"}
        record["timing"] |= {"variant_turns": [3] * 3, "reference_turns": [3] * 3, "reference_rounds": rounds,
                             "speedup_vs_eager": rng.lognormvariate(0.5, 0.01)}
        made_of["extra_info"] = record
    return made_of


if __name__ == "__main__":
    sys.exit(main())
