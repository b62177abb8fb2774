"""What each wait policy costs on this machine, quiet and with one core busy: `eagerbench wait-policy`.

A process for each policy has every variant built, and is asked for the median of a tenth of a second of calls, one
process after another in drawn order; those that are not asked sleep.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from cpuinfo import get_cpu_info
from rich.console import Console
from rich.table import Table

from eagerbench.machine.wait_policy import ACTIVE, ENVIRONMENTS, VARIABLES
from eagerbench.measuring.own_process import command, environment
from eagerbench.selection import default_artifacts

MODELS = ("tiny-bert", "minilm")
VARIANTS = ("eager", "torchscript-freeze", "onnxruntime", "onnxruntime-int8", "openvino")
SHAPE = (4, 64)
MACHINES = ("quiet", "one core busy")
_ASKED_S = 0.1


def serve(threads: int, artifacts: Path) -> None:
    """Answer each line `MODEL VARIANT` on stdin with the median seconds of a call."""
    from eagerbench.machine import allocator

    allocator.configure("pinned")
    import torch

    torch.set_num_threads(threads)
    calls = {name: call for model in MODELS for name, call in _calls(model, threads, artifacts).items()}
    _answer("ready")
    for line in sys.stdin:
        call, seconds = calls[line.strip()], []
        call()
        until = time.perf_counter() + _ASKED_S
        while len(seconds) < 2 or time.perf_counter() < until:
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        _answer(median(seconds))


def _answer(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _calls(model_name: str, threads: int, artifacts: Path) -> dict:
    from eagerbench.backends.artifacts import ArtifactStore
    from eagerbench.backends.base import Placement
    from eagerbench.backends.building import build
    from eagerbench.models import specs
    from eagerbench.models.loading import load
    from eagerbench.workloads import export_example, workload

    spec = specs.resolve(model_name, 0)
    model, found = load(spec), {}
    inputs, example = workload(spec, *SHAPE).inputs(model), export_example(spec).inputs(model)
    for name in VARIANTS:
        runner = build(name, model, example, Placement("cpu", threads), ArtifactStore(artifacts / "variants")).runner
        native = runner.prepare(inputs)
        found[f"{model_name} {name}"] = lambda runner=runner, native=native: runner(native)
    return found


class Asked:
    """A process with one policy."""

    def __init__(self, policy: str, threads: int, artifacts: Path):
        plain = {name: value for name, value in environment().items() if name not in VARIABLES}
        self._process = subprocess.Popen(
            command("eagerbench", "wait-policy", "--serve", "--threads", threads, "--artifacts", artifacts),
            env={**plain, **ENVIRONMENTS[policy]}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        if not any(line == "ready\n" for line in self._process.stdout):
            raise RuntimeError(f"the process with policy {policy} ended before it was ready")

    def median_s(self, case: str) -> float:
        self._process.stdin.write(f"{case}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(threads: int, artifacts: Path, visits: int) -> list[dict[str, Any]]:
    """A row for each machine and case: by policy `ms`, and `of_active`, the median of its ratio to `active`."""
    rows = []
    asked = {policy: Asked(policy, threads, artifacts) for policy in ENVIRONMENTS}
    busy = None
    try:
        for machine in MACHINES:
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if machine != MACHINES[0] else None
            for case in (f"{model} {variant}" for model in MODELS for variant in VARIANTS):
                took = {policy: [] for policy in asked}
                for _ in range(visits if busy is None else max(3, visits // 3)):
                    for policy in random.sample(list(asked), len(asked)):
                        took[policy].append(asked[policy].median_s(case))
                rows.append({"machine": machine, "case": case,
                             "ms": {policy: 1e3 * median(seconds) for policy, seconds in took.items()},
                             "of_active": {policy: _of_active(seconds, took[ACTIVE])
                                           for policy, seconds in took.items()}})
    finally:
        for process in asked.values():
            process.end()
        if busy is not None:
            busy.kill()
    return rows


def _of_active(seconds: list[float], active: list[float]) -> float:
    return median(a / b for a, b in zip(seconds, active, strict=True))


def table(rows: Sequence[dict[str, Any]], threads: int) -> Table:
    """Milliseconds of each policy, and in brackets times `active`."""
    shown = Table(title=f"milliseconds a call, batch {SHAPE[0]} × {SHAPE[1]}, {threads} threads (times `active`)")
    for name in ("machine", "model and variant", *ENVIRONMENTS):
        shown.add_column(name)
    for row in rows:
        shown.add_row(row["machine"], row["case"],
                      *(f"{row['ms'][policy]:.2f} ({row['of_active'][policy]:.2f})" for policy in ENVIRONMENTS))
    return shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--artifacts", type=Path, default=Path(default_artifacts()))
    parser.add_argument("--visits", type=int, default=15, help="of each process and case (default: 15)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="save the numbers as JSON too")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)


def run(chosen: argparse.Namespace) -> int:
    if chosen.serve:
        serve(chosen.threads, chosen.artifacts)
        return 0
    rows = measure(chosen.threads, chosen.artifacts, chosen.visits)
    Console(width=120).print(table(rows, chosen.threads))
    if chosen.output:
        day = datetime.now(UTC).date().isoformat()
        chosen.output.write_text(json.dumps({"date": day, "cpu": get_cpu_info()["brand_raw"],
                                             "threads": chosen.threads,
                                             "visits": chosen.visits, "rows": rows}, indent=1) + "\n",
                                 encoding="utf-8")
    return 0
