"""What each wait policy costs on this machine, quiet and with one core busy: `eagerbench wait-policy`.

A process for each policy has every variant built, and is asked for the median of a tenth of a second of calls, one
process after another in drawn order; those that are not asked sleep.
"""

import argparse
import contextlib
import json
import os
import random
import re
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

from eagerbench.errors import CannotRun
from eagerbench.machine.wait_policy import ACTIVE, ENVIRONMENTS, VARIABLES
from eagerbench.measuring import own_process, own_session
from eagerbench.measuring.served import Served
from eagerbench.selection import default_artifacts
from eagerbench.shown import say

MODELS = ("tiny-bert", "minilm")
VARIANTS = ("eager", "torchscript-freeze", "onnxruntime", "onnxruntime-int8", "openvino")
SHAPE = (4, 64)
MACHINES = {"quiet": 0, "one core busy": 1}  # and how many processes spin on it
_ASKED_S = 0.1
_TIMEOUT_S = 1800.0
_ANSWER = "eagerbench: "  # in front of each, on a line of its own


def serve(threads: int, artifacts: Path, served: Served) -> None:
    """Answer each line `MODEL VARIANT` on stdin with the median seconds of a call."""
    served.doing("building")
    from eagerbench.machine import allocator

    allocator.configure("pinned")
    import torch

    torch.set_num_threads(threads)
    calls = {name: call for model in MODELS for name, call in _calls(model, threads, artifacts).items()}
    _answer("ready")
    for line in sys.stdin:
        served.doing(f"calling {line.strip()}")
        call, seconds = calls[line.strip()], []
        call()
        until = time.perf_counter() + _ASKED_S
        while len(seconds) < 2 or time.perf_counter() < until:
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        _answer(median(seconds))


def _answer(text: object) -> None:
    sys.stdout.write(f"\n{_ANSWER}{text}\n")
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

    def __init__(self, policy: str, threads: int, artifacts: Path, scratch: Path):
        plain = {name: value for name, value in own_process.environment().items() if name not in VARIABLES}
        notes = scratch / f"notes-{policy}"
        self._process = own_process.OwnProcess(
            f"the process with policy {policy}", own_process.command(
                "eagerbench", "wait-policy", "--serve", notes, "--threads", threads, "--artifacts", artifacts),
            notes, variables={**plain, **ENVIRONMENTS[policy]})

    def ready(self) -> None:
        """Wait until it has built every variant.

        Raises:
            CannotRun: it did not.
        """
        self._answer()

    def median_s(self, case: str) -> float:
        """
        Raises:
            CannotRun: it ended, or does not answer.
        """
        self._process.tell(case)
        return float(self._answer())

    def _answer(self) -> str:
        """The next one, past whatever a runtime prints."""
        own_process.wait([self._process], lambda process: _found(process.output) is not None, _TIMEOUT_S)
        found = _found(self._process.output)
        if found is None:
            self._process.require()
            raise self._process.crashed("ended well")
        self._process.output.clear()
        return found

    def end(self) -> None:
        self._process.close()


def _found(output: bytes) -> str | None:
    """A whole answer in what a process has printed."""
    found = re.search(rf"^{_ANSWER}(.*)\n", bytes(output).decode(errors="replace"), re.MULTILINE)
    return found and found[1]


def measure(threads: int, artifacts: Path, visits: int) -> list[dict[str, Any]]:
    """A row for each machine and case: by policy `ms`, and `of_active`, the median of its ratio to `active`.

    Raises:
        CannotRun: a process ended: without it nothing can be compared.
    """
    rows = []
    with own_process.scratch() as scratch, contextlib.ExitStack() as started:
        asked = {}
        for policy in ENVIRONMENTS:
            asked[policy] = Asked(policy, threads, artifacts, scratch)
            started.callback(asked[policy].end)
        for process in asked.values():
            process.ready()
        for machine, busy in MACHINES.items():
            with own_session.running(*[own_session.program(own_session.SPIN)] * busy):
                for case in (f"{model} {variant}" for model in MODELS for variant in VARIANTS):
                    took = _visited(asked, case, max(3, visits // 3) if busy else visits)
                    rows.append({"machine": machine, "case": case,
                                 "ms": {policy: 1e3 * median(seconds) for policy, seconds in took.items()},
                                 "of_active": {policy: _of_active(seconds, took[ACTIVE])
                                               for policy, seconds in took.items()}})
    return rows


def _visited(asked: dict[str, Asked], case: str, visits: int) -> dict[str, list[float]]:
    took = {policy: [] for policy in asked}
    for _ in range(visits):
        for policy in random.sample(list(asked), len(asked)):
            took[policy].append(asked[policy].median_s(case))
    return took


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
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="threads of each process (default: %(default)s)")
    parser.add_argument("--artifacts", type=Path, default=Path(default_artifacts()), metavar="DIR",
                        help="directory of built models (default: %(default)s)")
    parser.add_argument("--visits", type=int, default=15, metavar="N",
                        help="measurements of each case in each process (default: 15)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also save the numbers as JSON")
    parser.add_argument("--serve", type=Path, metavar="NOTES", help=argparse.SUPPRESS)


def run(chosen: argparse.Namespace) -> int:
    if chosen.serve:
        served = Served(chosen.serve)
        served.run(lambda: serve(chosen.threads, chosen.artifacts, served))
        return 0
    try:
        rows = measure(chosen.threads, chosen.artifacts, chosen.visits)
    except CannotRun as error:
        say(error, error=True)
        return 3
    Console(width=120).print(table(rows, chosen.threads))
    if chosen.output:
        day = datetime.now(UTC).date().isoformat()
        chosen.output.write_text(json.dumps({"date": day, "cpu": get_cpu_info()["brand_raw"],
                                             "threads": chosen.threads, "visits": chosen.visits, "rows": rows},
                                            indent=1) + "\n", encoding="utf-8")
    return 0
