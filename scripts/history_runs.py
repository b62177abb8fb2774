"""Short real runs of several commits into a history: `python scripts/history_runs.py --commits 5 --runs 6`.

Each run is a session of one tiny model in a clone at its commit, with this interpreter: all runs of a commit, then
those of the next, as time passes in a repository. What is done is kept: started again, it goes on with what is left.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CASES = ("test_latency.py", "--model", "tiny-bert", "--batch-sizes", "4", "--sequence-lengths", "32", "--threads", "1",
         "--peaks", "here", "--time-budget", "1", "--no-report", "--variant", "eager", "--variant", "sdpa", "--variant",
         "torchscript-freeze", "--variant", "onnxruntime", "--variant", "dynamic-int8")


def git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commits(branch: str, count: int) -> list[str]:
    """The newest commits of a branch that changed the library, the oldest first."""
    found = git("log", "--first-parent", f"--max-count={count}", "--format=%H", branch, "--", "eagerbench", "fixtures")
    return found.split()[::-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=5)
    parser.add_argument("--branch", default="HEAD")
    parser.add_argument("--runs", type=int, default=6, help="of each commit (default: %(default)s)")
    parser.add_argument("--directory", type=Path, default=ROOT / ".benchmarks" / "history-runs")
    parser.add_argument("--store", type=Path, default=ROOT / "docs" / "results" / "history")
    parser.add_argument("--most", type=int, default=1000, help="runs that are made before it ends")
    chosen = parser.parse_args()
    chosen.directory.mkdir(parents=True, exist_ok=True)
    plan = chosen.directory / "commits.json"
    if not plan.exists():  # the newest commits would be others the next time
        plan.write_text(json.dumps(commits(chosen.branch, chosen.commits)))
    rounds = [(name, number) for name in json.loads(plan.read_text()) for number in range(chosen.runs)]
    files = [chosen.directory / f"{name[:10]}-{number}.json" for name, number in rounds]
    left = [place for place, file in enumerate(files) if not usable(file)]
    for place in left[:chosen.most]:
        print(f"run {place + 1} of {len(rounds)}: {rounds[place][0][:10]}", flush=True)
        measured(rounds[place][0], files[place], chosen.directory)
    subprocess.run([sys.executable, "-m", "eagerbench", "history", "add", *filter(usable, files), "--store",
                    chosen.store], cwd=ROOT, check=True)
    return 0


def usable(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8"))["benchmarks"])
    except (OSError, ValueError, KeyError):
        return False


def measured(name: str, file: Path, directory: Path) -> None:
    tree = directory / "trees" / name[:10]
    if not tree.exists():
        git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(tree))
        subprocess.run(["git", "-C", str(tree), "checkout", "--quiet", "--detach", name], check=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(tree)}
    subprocess.run([sys.executable, "-m", "eagerbench", "run", *CASES, "--artifacts", str(directory / "artifacts"),
                    f"--benchmark-json={file}"], cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
