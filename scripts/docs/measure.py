"""Measure again what README and docs show: `python -m scripts.docs.measure`. Wants an hour on a quiet machine.

Two default runs, the first with an empty cache of built models, then the table of README with enough pairs of turns,
then what Python costs the variants that are called from C++, what becomes of texts, and queries a second under load.
The files go to docs/results; `python -m scripts.docs` then makes tables and pictures of them.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from eagerbench.results import records
from scripts.docs import blocks, kept

ROOT = Path(__file__).parents[2]
SCRATCH = ROOT / ".benchmarks" / "docs"
TABLE = ["test_latency.py", *(f"--model={model}" for model in blocks.README_MODELS), "--batch-sizes=1,8",
         "--sequence-lengths=128", *(f"--variant={name}" for name in ("eager", *blocks.README_VARIANTS))]
PYTHON = ["test_python.py", "--model=minilm", "--variant=*-cpp"]
SERVING = ["test_serving.py", "--model=minilm", "--variant=onnxruntime", "--variant=openvino", "--p99-ms=50",
           "--time-budget=1", "--peaks=here"]
EMBEDDINGS = ["test_embeddings.py", "--model=minilm", *(f"--variant={name}" for name in (
    "eager", "sdpa", "onnxruntime", "openvino", "onnxruntime-int8", "openvino-int8", "sentence-transformers"))]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.docs.measure", description=__doc__)
    parser.add_argument("--only", choices=("bench", "latency", "cpp", "embeddings", "serving"),
                        help="measure one of the files")
    parser.add_argument("--time-budget", default="24", metavar="SECONDS", help="of a case of a table (default: 24)")
    parser.add_argument("--keep", nargs=2, metavar=("NAME", "FILE"), help="measure nothing; keep a saved file by name")
    chosen = parser.parse_args()
    if chosen.keep:
        kept.keep(Path(chosen.keep[1]), chosen.keep[0], {"arguments": []})
        return 0
    SCRATCH.mkdir(parents=True, exist_ok=True)
    artifacts = f"--artifacts={SCRATCH / 'artifacts'}"
    if chosen.only in (None, "bench"):
        shutil.rmtree(SCRATCH / "artifacts", ignore_errors=True)
        cold = _measured("cold", [artifacts])
        warm = _measured("bench", [artifacts])
        built = sum(file.stat().st_size for file in (SCRATCH / "artifacts").rglob("*") if file.is_file())
        kept.keep(warm, "bench", {"arguments": [], "cold_wall_s": _wall_s(cold), "artifacts_bytes": built})
    budget = f"--time-budget={chosen.time_budget}"
    for name, arguments in (("latency", [*TABLE, budget]), ("cpp", [*PYTHON, budget]),
                            ("embeddings", [*EMBEDDINGS, budget]), ("serving", SERVING)):
        if chosen.only in (None, name):
            kept.keep(_measured(name, [*arguments, artifacts]), name, {"arguments": arguments})
    return 0


def _measured(name: str, arguments: list[str]) -> Path:
    file = SCRATCH / f"{name}.json"
    command = [sys.executable, "-m", "eagerbench", "run", *arguments, f"--benchmark-json={file}"]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 1 and file.exists():
        print("`eagerbench run` ended with 1: some cases failed, see above. The others are kept.")
    elif code:
        sys.exit(f"`eagerbench run` ended with {code}: nothing of it is kept, see above; then run this again")
    return file


def _wall_s(file: Path) -> float:
    return records.read(file)["eagerbench"]["session"]["wall_s"]


if __name__ == "__main__":
    sys.exit(main())
