"""What other work on the machine does to ratios, and whether it is noticed: `eagerbench busy`.

Runs latency sessions while this machine does nothing else, then beside busy processes, and compares each ratio with
the quiet one of the same case: it must be unusable, say nothing, or be within 5 %. docs/busy-machine.md has a table.
"""

import argparse
import contextlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from eagerbench.errors import CannotRun
from eagerbench.measuring import own_session
from eagerbench.results.older import flat
from eagerbench.results.records import unusable
from eagerbench.shown import say
from eagerbench.statistics import says_nothing

VARIANTS = ("eager", "sdpa", "torchscript-freeze", "onnxruntime", "onnxruntime-int8", "openvino", "dynamic-int8")
OFF = 0.05
_SPIN = own_session.SPIN
_BURSTS = "import time\nwhile True:\n    end = time.time() + .5\n    while time.time() < end: pass\n    time.sleep(.5)"
# What runs beside the session, and its threads (None: as many as the machine has cores).
CONDITIONS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "quiet": ((), None),
    "one core busy": ((_SPIN,), None),
    "two processes busy": ((_SPIN, _SPIN), None),
    "busy in bursts": ((_BURSTS,), None),
    "another session": (("session",), None),
    "quiet, 1 thread": ((), "1"),
    "one core busy, 1 thread": ((_SPIN,), "1"),
}


def session(model: str, threads: str | None, budget: str, *more: str) -> list[dict[str, Any]]:
    """Records of one latency session of `model`, batch 4 × 64.

    Raises:
        CannotRun: it saved none.
    """
    saved = own_session.benchmarks(f"a session of {model}", _arguments(model, threads, budget, *more))
    return [flat(bench["extra_info"]) for bench in saved]


def _arguments(model: str, threads: str | None, budget: str, *more: str) -> list[str]:
    variants = [word for name in VARIANTS for word in ("--variant", name)]
    return ["test_latency.py", "--model", model, "--batch-sizes", "4", "--sequence-lengths", "64",
            "--time-budget", budget, *variants, *(("--threads", threads) if threads else ()), *more]


@contextlib.contextmanager
def beside(what: tuple[str, ...], model: str) -> Iterator[None]:
    """While entered, this runs too."""
    another = own_session.command(*_arguments(model, None, "600"), "--no-report")
    with own_session.running(*(another if one == "session" else own_session.program(one) for one in what)):
        time.sleep(20 if "session" in what else 0.5)  # until it has loaded its model
        yield


def verdict(record: dict[str, Any], quiet: float | None) -> str:
    """`unusable`, `says nothing`, `right` (within 5 % of the quiet ratio, or of its own interval), `wrong`."""
    if unusable(record):
        return "unusable"
    low, high = record["speedup_low"], record["speedup_high"]
    if says_nothing(low, high):
        return "says nothing"
    if quiet is None:
        return "no quiet ratio"
    off = abs(math.log(record["speedup_vs_eager"] / quiet))
    return "right" if off <= math.log1p(OFF) else "within its interval" if low <= quiet <= high else "wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", action="append", help="model; repeatable (default: tiny-bert and minilm)")
    parser.add_argument("--condition", action="append", choices=tuple(CONDITIONS),
                        help="what runs beside the sessions; repeatable (default: all)")
    parser.add_argument("--sessions", type=int, default=3, help="sessions under each condition (default: 3)")
    parser.add_argument("--time-budget", default="2", help="seconds for each case (default: 2)")
    parser.add_argument("--json", type=Path, default=Path(".benchmarks/busy.json"), help="add every record to "
                        "this file, and print the table of all its records (default: %(default)s)")


def run(chosen: argparse.Namespace) -> int:
    found = json.loads(chosen.json.read_text()) if chosen.json.exists() else []
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    for model in chosen.model or ("tiny-bert", "minilm"):
        for _ in range(chosen.sessions):
            for condition in chosen.condition or CONDITIONS:
                what, threads = CONDITIONS[condition]
                try:
                    with beside(what, model):
                        records = session(model, threads, chosen.time_budget)
                except CannotRun as error:  # what the others find is still worth its table
                    say(f"{condition}: {error}", error=True)
                    continue
                found.append({"condition": condition, "model": model, "records": records})
                chosen.json.write_text(json.dumps(found))
                say(f"{model}, {condition}: {len(found[-1]['records'])} cases", error=True)
    Console(width=110).print(table(found))
    say(f"wrote {chosen.json}")
    return 0


def table(found: list[dict[str, Any]]) -> Table:
    """Cases by model, condition and verdict."""
    shown = Table(title="latency cases of batch 4 × 64, by what became of them")
    verdicts = ("right", "within its interval", "wrong", "says nothing", "unusable", "no quiet ratio")
    for name in ("model", "condition", "cases", *verdicts, "farthest off"):
        shown.add_column(name)
    quiet = _quiet(found)
    for model, condition in dict.fromkeys((run["model"], run["condition"]) for run in found):
        records = [record for run in found if (run["model"], run["condition"]) == (model, condition)
                   for record in run["records"]]
        ones = [(record, quiet.get((record["bench_id"], record["threads"]))) for record in records]
        seen = [verdict(record, usual) for record, usual in ones]
        off = [abs(math.log(record["speedup_vs_eager"] / usual))
               for (record, usual), what in zip(ones, seen, strict=True) if usual and what in verdicts[:3]]
        shown.add_row(model, condition, str(len(seen)), *(str(seen.count(name)) for name in verdicts),
                      f"{math.expm1(max(off)):.1%}" if off else "–")
    return shown


def _quiet(found: list[dict[str, Any]]) -> dict[tuple[str, int], float]:
    """The median ratio of each case with each number of threads, of usable quiet sessions."""
    ratios: dict[tuple[str, int], list[float]] = {}
    for record in (record for run in found if run["condition"].startswith("quiet") for record in run["records"]):
        if not unusable(record):
            ratios.setdefault((record["bench_id"], record["threads"]), []).append(record["speedup_vs_eager"])
    return {case: median(values) for case, values in ratios.items()}
