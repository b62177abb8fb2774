"""What a package costs and keeps: its size, its seconds until it is ready, and `load.py` against the suite's own call.

Both run in processes of their own, which take turns of 120 ms on the inputs of the package; the one that waits sleeps.
A pair of processes gives one ratio. Ends with 1 where the median of the ratios is more than 2 % from 1.

Sample: python scripts/package_cost.py --pairs 6 --threads 1 onnxruntime openvino-int8 torchscript-freeze
"""

import argparse
import datetime
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
TURN_S, TURNS = 0.12, 12
_GOAL = 0.02
# Both sides, once `call` is there: a turn at a line of stdin, its median seconds on stdout.
_TURNS = """
import os, statistics, sys, time
clock = time.process_time if os.environ.get("PACKAGE_COST_CLOCK") == "cpu" else time.perf_counter
for _ in range(3):
    call()
print("ready", flush=True)
for line in sys.stdin:
    call()  # its working set comes back
    rounds, end = [], time.perf_counter() + float(line)
    while time.perf_counter() < end or len(rounds) < 3:
        began = clock()
        call()
        rounds.append(clock() - began)
    print(statistics.median(rounds), flush=True)
"""
_PACKAGE = """
import sys
sys.path.insert(0, sys.argv[1])
from load import Model
from verify import shipped
model = Model()
native = model.session.native(shipped("inputs"))
def call():
    return model.session.run(native)
"""
_SUITE = """
import sys
variant, name, threads, package, artifacts = sys.argv[1:]
from eagerbench.machine import allocator, waiting
allocator.configure("pinned")
waiting.configure("brief")
import numpy as np
import torch
from pathlib import Path
from eagerbench import backends
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Placement
from eagerbench.backends.building import build
from eagerbench.models import specs
from eagerbench.models.loading import load
from eagerbench.workloads import export_example
torch.set_num_threads(int(threads))
inputs = {file.stem: np.load(file) for file in sorted((Path(package) / "check" / "inputs").glob("*.npy"))}
model = load(specs.resolve(name, 0))
inputs = {one: inputs[one] for one in model.input_names}
example = inputs if backends.variants()[variant][1].per_workload else export_example(model.spec).inputs(model)
runner = build(variant, model, example, Placement("cpu", int(threads)), ArtifactStore(Path(artifacts))).runner
native = runner.prepare(inputs)
def call():
    return runner(native)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("variants", nargs="+", metavar="VARIANT")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--workload", default="8x128", metavar="BxS")
    parser.add_argument("--pairs", type=int, default=6, help="of processes (default: 6)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a machine "
                        "with other work on it; means something with one thread only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was found")
    chosen = parser.parse_args()
    found = []
    os.environ["PACKAGE_COST_CLOCK"] = chosen.clock
    with tempfile.TemporaryDirectory(prefix="package-cost-") as scratch:
        for variant in chosen.variants:
            found.append(_of(variant, chosen, Path(scratch)))
            print("{variant}: {mib:.1f} MiB, ready after {ready_s:.2f} s, load.py takes {ratio:.4f} times as long "
                  "[{low:.4f}, {high:.4f}] ({pairs} pairs of processes)".format(**found[-1]), flush=True)
    if chosen.json:
        content = {"date": datetime.date.today().isoformat(), "cpu": _machine(), "model": chosen.model,
                   "threads": int(chosen.threads), "workload": chosen.workload, "clock": chosen.clock,
                   "packages": found}
        chosen.json.write_text(json.dumps(content, indent=1) + "\n")
    return int(any(abs(one["ratio"] - 1) > _GOAL for one in found))


def _of(variant: str, chosen: argparse.Namespace, scratch: Path) -> dict:
    package, artifacts = scratch / variant, scratch / "artifacts"
    made = [sys.executable, "-m", "eagerbench", "package", variant, "--model", chosen.model, "-o", str(package),
            "--threads", chosen.threads, "--workload", chosen.workload, "--artifacts", str(scratch / "store")]
    done = subprocess.run(made, cwd=ROOT, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        sys.exit(f"{variant}: {done.stderr.strip()[-500:]}")
    size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
    ready_s = statistics.median(_ready(package) for _ in range(3))
    loaders = _loaders(package) if (package / "model" / "model.pt2").exists() else {}
    logs = [_pair(variant, chosen, package, artifacts) for _ in range(chosen.pairs)]
    off = 2 * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
    middle = statistics.median(logs)
    return {"variant": variant, "mib": size / 2**20, "ready_s": ready_s, "ratio": math.exp(middle),
            "low": math.exp(middle - off), "high": math.exp(middle + off), "pairs": len(logs), **loaders}


def _loaders(package: Path) -> dict[str, float]:
    """Seconds by which torch's two loaders of an AOTInductor package open it, in a cold process each."""
    opened = {"direct_loader_s": 'torch._C._aoti.AOTIModelPackageLoader(file, "model", False, 1, -1)',
              "python_loader_s": "__import__('torch._inductor')._inductor.aoti_load_package(file)"}
    found = {}
    for name, how in opened.items():
        code = (f"import sys, time, torch; file = sys.argv[1]; began = time.perf_counter(); made = {how}; "
                "print(time.perf_counter() - began)")
        done = subprocess.run([sys.executable, "-c", code, str(package / "model" / "model.pt2")], capture_output=True,
                              text=True, check=True)
        found[name] = float(done.stdout.splitlines()[-1])
    return found


def _ready(package: Path) -> float:
    """Seconds from a started interpreter to a model that can be called, imports and checks of files in it."""
    code = _PACKAGE.replace("import sys\n", "import sys, time\nbegan = time.perf_counter()\n", 1)
    done = subprocess.run([sys.executable, "-B", "-c", f"{code}\nprint(time.perf_counter() - began)", str(package)],
                          capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def _pair(variant: str, chosen: argparse.Namespace, package: Path, artifacts: Path) -> float:
    """log(load.py / suite) of a call, the median over turns."""
    sides = [_side(_PACKAGE, [str(package)]),
             _side(_SUITE, [variant, chosen.model, chosen.threads, str(package), str(artifacts)])]
    try:
        for side in sides:
            _read_until_ready(side)
        turns = [[_turn(side) for side in (sides if number % 2 else sides[::-1])] for number in range(TURNS)]
        ordered = [turn if number % 2 else turn[::-1] for number, turn in enumerate(turns)]
        return statistics.median(math.log(ours / suites) for ours, suites in ordered)
    finally:
        for side in sides:
            side.stdin.close()
            side.wait()


def _side(code: str, arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-B", "-c", code + _TURNS, *arguments], cwd=ROOT, env=_environment(),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _read_until_ready(side: subprocess.Popen) -> None:
    for line in side.stdout:
        if line.strip() == "ready":
            time.sleep(0.1)
            return
    sys.exit("a side ended before it was ready")


def _turn(side: subprocess.Popen) -> float:
    side.stdin.write(f"{TURN_S}\n")
    side.stdin.flush()
    return float(side.stdout.readline())


def _environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}


def _machine() -> str:
    import cpuinfo

    return cpuinfo.get_cpu_info().get("brand_raw", "")


if __name__ == "__main__":
    sys.exit(main())
