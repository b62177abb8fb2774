"""What runs on what: small models of many architectures through every variant, and the table of it.

Each architecture has a process of its own for the latency experiment by every variant, one for the other experiments
by a few, and one for what compiles; where such a process dies, its variants run in a process each. A second call goes
on where the first one stopped. Exit code 1 when a cell failed or a process died.

Sample: python scripts/architecture_grid.py --only fnet --only reranker
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import date
from fnmatch import fnmatchcase
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import cpuinfo

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "correctness_tests")]
import architectures  # noqa: E402  (the lines above make it importable from anywhere)

from eagerbench import backends  # noqa: E402
from eagerbench.backends.base import Runs  # noqa: E402
from eagerbench.shown import markdown  # noqa: E402

SOME = ("eager", "sdpa", "torchscript-freeze", "dynamic-int8", "onnxruntime", "openvino")
MOST_S = 900  # of one process
_COMMON = ("--benchmark-only", "--threads", "1", "--time-budget", "0.1", "-q", "-p", "no:cacheprovider")
_NO_PEAKS = ("--peaks", "here")  # a process less a case
_BESIDE = 6  # architectures in one table
_INTRODUCTION = """# What runs on what

This page shows which variants run on small models of many architectures (two layers, hidden size 64, random weights).
Each variant ran at 1 × 24 and 4 × 24, variants that compile at 4 × 24 only. The other experiments ran by {some}.

*yes*: it ran, its outputs matched eager's, and its probe found the optimisation or nothing to optimise. A number: it
did not run, for this [reason](#reasons). Both: some of the shapes or variants ran. –: not run yet.

Made by `make architectures` on {date}: {machine}, torch {torch}, transformers {transformers}. The command continues
where it stopped. Variants that need a GPU or a package that is not installed are left out.
"""
_KEPT = ("variant", "experiment", "workload", "status", "reason")
COMPILED = ("torch-compile*", "aot-inductor", "torchao-int8")  # minutes each: at one shape, and last
_PARTS = {
    "latency": ("perf_tests/test_latency.py", "--batch-sizes", "1,4", "--sequence-lengths", "24", *_NO_PEAKS),
    "others": ("perf_tests", "--deselect", "perf_tests/test_latency.py", "--grid", "smoke"),
    "compiled": ("perf_tests/test_latency.py", "--batch-sizes", "4", "--sequence-lengths", "24", *_NO_PEAKS),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=architectures.NAMES, help="an architecture; repeatable")
    parser.add_argument("--part", action="append", choices=_PARTS, help="what to measure; repeatable (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / ".benchmarks/architectures", help="files of finished parts")
    parser.add_argument("--seconds", type=float, default=3600, help="start nothing new after this time")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    chosen = parser.parse_args()
    began = time.monotonic()
    names = chosen.only or architectures.NAMES
    for part in chosen.part or _PARTS:
        for name in names:
            if time.monotonic() - began < chosen.seconds:
                _measure(name, part, chosen.out)
    cells = {name: [cell for part in _PARTS for cell in _cells(name, part, chosen.out)] for name in names}
    text = as_markdown(cells)
    print(text)
    if chosen.markdown:
        chosen.markdown.write_text(text, encoding="utf-8")
        print(f"wrote {chosen.markdown}", file=sys.stderr)
    return any(cell["status"] in ("failed", "died") for found in cells.values() for cell in found)


def _measure(name: str, part: str, out: Path) -> None:
    file = out / f"{name}-{part}.json"
    if file.exists():
        return
    model = architectures.save(name, out / "models" / name)
    variants = _variants(part)
    found, code = _session(model, part, variants, file)
    if code < 0:
        found = []
        for variant in variants:
            cells, code = _session(model, part, [variant], file)
            found += cells if code >= 0 else [{"variant": variant, "experiment": part, "workload": "", "status": "died",
                                               "reason": f"the process ended by signal {-code}"}]
    file.write_text(json.dumps({"cells": found}, indent=1), encoding="utf-8")
    print(f"{name} {part}: {sum(cell['status'] == 'timed' for cell in found)} timed", file=sys.stderr, flush=True)


def _variants(part: str) -> list[str]:
    compiled = [name for name in backends.variants() if any(fnmatchcase(name, pattern) for pattern in COMPILED)]
    rest = [name for name, (variant, _) in backends.variants().items()
            if name not in compiled and variant.runs is not Runs.WHEN_NAMED]
    return {"latency": rest, "others": list(SOME), "compiled": compiled}[part]


def _session(model: Path, part: str, variants, file: Path) -> tuple[list[dict], int]:
    """Cells of a session and its exit code, negative for a signal or a hang."""
    saved = file.with_suffix(".run")
    saved.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *_PARTS[part], *_COMMON, f"--model={model}",
               f"--benchmark-json={saved}", *(f"--variant={name}" for name in variants)]
    with file.with_suffix(".log").open("a") as log:
        try:
            # What runs is asked, not how fast: times that other work disturbs are accepted.
            code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, timeout=MOST_S, check=False,
                                  env={**os.environ, "EAGERBENCH_DISTURBED": "accept"}).returncode
        except subprocess.TimeoutExpired:
            return [], -9
    if not saved.exists():
        return [{"variant": variant, "experiment": part, "workload": "", "status": "died",
                 "reason": f"exit code {code} and no file; see {file.with_suffix('.log').name}"}
                for variant in variants], code
    cells = json.loads(saved.read_text(encoding="utf-8"))["eagerbench"]["cells"]
    saved.unlink()
    of_part = [cell for cell in cells if (cell["experiment"] == "latency") == (part != "others")]
    return [{key: cell[key] for key in _KEPT} for cell in of_part], code


def _cells(name: str, part: str, out: Path) -> list[dict]:
    file = out / f"{name}-{part}.json"
    if not file.exists():
        return [{"variant": "–", "experiment": part, "workload": "", "status": "not run", "reason": "no time was left"}]
    return json.loads(file.read_text(encoding="utf-8"))["cells"]


def as_markdown(cells: dict[str, list[dict]]) -> str:
    """The page: tables of variants (latency) and of experiments by architecture, and every reason once."""
    reasons: dict[str, int] = {}
    variants = [name for name in backends.variants()
                if any(cell["variant"] == name and not _elsewhere(cell) for found in cells.values() for cell in found)]
    experiments = list(dict.fromkeys(cell["experiment"] for found in cells.values() for cell in found
                                     if cell["experiment"] not in _PARTS))
    lines = _INTRODUCTION.format(date=date.today(), machine=cpuinfo.get_cpu_info()["brand_raw"],
                                 torch=version("torch"), transformers=version("transformers"),
                                 some=", ".join(f"`{name}`" for name in SOME)).splitlines()
    for names in batched(cells, _BESIDE):
        lines += ["", *_table(["", *names], [
            *[[f"`{variant}`", *[_cell(_of(cells[name], variant=variant, experiment="latency"), reasons)
                                 for name in names]] for variant in variants],
            *[[experiment, *[_cell([cell for cell in _of(cells[name], experiment=experiment)
                                    if cell["variant"] in SOME], reasons) for name in names]]
              for experiment in experiments]])]
    return "\n".join([*lines, "", "## Reasons", "",
                      *(f"{number}. {markdown(reason)}" for reason, number in reasons.items()), ""])


def batched(values: Iterable, count: int) -> Iterator[list]:
    """itertools has it from Python 3.12 on."""
    left = iter(values)
    while batch := list(islice(left, count)):
        yield batch


def _of(cells: list[dict], **wanted: str) -> list[dict]:
    return [cell for cell in cells if all(cell[field] == value for field, value in wanted.items())]


def _elsewhere(cell: dict) -> bool:
    """Whether a cell says of this machine alone that it lacks something."""
    return cell["reason"].startswith(("not installed", "runs on", "needs"))


def _cell(found: list[dict], reasons: dict[str, int]) -> str:
    """`yes`, or the numbers of the reasons, with `failed` in front where the suite itself objects."""
    others = {(cell["status"], cell["reason"]): None for cell in found if cell["status"] != "timed"}
    numbers = [f"{'' if status == 'skipped' else status + ' '}{reasons.setdefault(reason, len(reasons) + 1)}"
               for status, reason in others]
    timed = any(cell["status"] == "timed" for cell in found)
    return ", ".join([*(["yes"] if timed else []), *numbers]) or "–"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]


if __name__ == "__main__":
    sys.exit(main())
