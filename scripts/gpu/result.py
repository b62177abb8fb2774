"""The result: the sessions' files as one, small enough to commit, and its tables."""

import json
import sys
from pathlib import Path

from analysis import gpu, jsonfile, merge, records
from analysis.thin import thinned

MOST_BYTES = 1_500_000


def write(out: Path) -> str:
    """Write `result.json` and `result.md`; a line that says what is in them."""
    outcomes = json.loads((out / "outcomes.json").read_text())
    files = [file for file in sorted((out / "steps").glob("*.json")) if file.name != "facts.json" and _readable(file)]
    if not files:
        return "no result: no step has measured anything"
    content = merge.merge(files, [records.read(file) for file in files])
    content.setdefault("inference_bench", {})["gpu_machine"] = {
        "facts": _facts(out), "steps": outcomes["steps"], "python": outcomes["python"]}
    content = thinned(content, MOST_BYTES)
    jsonfile.write(out / "result.json", content)
    (out / "result.md").write_text(gpu.markdown(content), encoding="utf-8")
    size = (out / "result.json").stat().st_size
    return (f"{len(content['benchmarks'])} benchmarks in {out / 'result.json'} ({size / 1e6:.1f} MB), "
            f"tables in {out / 'result.md'}")


def _readable(file: Path) -> bool:
    try:
        return bool(records.read(file)["benchmarks"])
    except records.UnreadableFile:
        return False


def _facts(out: Path) -> dict | None:
    try:
        return json.loads((out / "steps" / "facts.json").read_text())
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
