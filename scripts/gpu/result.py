"""The result: the sessions' files as one, small enough to commit, and its tables."""

import json
import sys
from pathlib import Path

from eagerbench import jsonfile
from eagerbench.results import gpu, merge, records
from eagerbench.results.thin import thinned
from eagerbench.shown import count

MOST_BYTES = 1_500_000


def write(out: Path) -> str:
    """Write `result.json` and `result.md`; a line that says what is in them."""
    outcomes = json.loads((out / "outcomes.json").read_text())
    named = [out / "steps" / f"{one['step'].replace('/', '-')}.json" for one in outcomes["steps"]]
    others = sorted(set((out / "steps").glob("*.json")) - set(named))  # of steps that an earlier call was asked for
    files = [file for file in (*named, *others) if file.name != "facts.json" and file.exists() and _readable(file)]
    if not files:
        return "no result: no step has measured anything"
    content = merge.merge(files, [records.read(file) for file in files], keep_first=True)
    content.setdefault("eagerbench", {})["gpu_machine"] = {
        "facts": _facts(out), "steps": [*outcomes["steps"], *_earlier(out, outcomes["steps"])],
        "python": outcomes["python"]}
    content = thinned(content, MOST_BYTES)
    jsonfile.write(out / "result.json", content)
    (out / "result.md").write_text(gpu.markdown(content), encoding="utf-8")
    size = (out / "result.json").stat().st_size
    return (f"{count(len(content['benchmarks']), 'benchmark')} in {out / 'result.json'} ({size / 1e6:.1f} MB), "
            f"tables in {out / 'result.md'}")


def _readable(file: Path) -> bool:
    """Whether a session has measured something; what was cut off in the middle costs itself alone."""
    try:
        return bool(records.load(file).benchmarks)
    except records.UnreadableFile as error:
        print(f"left out: {error}")
        return False


def _earlier(out: Path, now: list[dict]) -> list[dict]:
    """Marks of steps that this call was not asked for."""
    marks = [json.loads(file.read_text()) for file in sorted((out / "marks").glob("*.json"))]
    return [mark for mark in marks if mark["step"] not in {one["step"] for one in now}]


def _facts(out: Path) -> dict | None:
    try:
        return json.loads((out / "steps" / "facts.json").read_text())
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
