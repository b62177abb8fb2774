"""`eagerbench recommend`: which variant to take under a budget, from saved files."""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eagerbench import jsonfile, project
from eagerbench.errors import BadInput
from eagerbench.results import decision, last_screen, records
from eagerbench.results.decision import budget
from eagerbench.results.decision.types import Decision, Verdict
from eagerbench.shown import count, say

MOST_LINES = 30
NONE_FITS = 1  # exit code
_NUMBERS = {
    "max-error": "difference from eager's output, divided by the size of that output (0.05: 5 %%)",
    "max-quality-loss": "share of labelled examples that may be lost (0.01: one in a hundred)",
    "max-latency-ms": "milliseconds of the median call",
    "min-throughput": "samples a second (corpus: sentences, generation: tokens)",
    "max-memory-mib": "peak memory in MiB of a process that loads the model and calls it; on a GPU, of the GPU",
    "max-steady-mib": "memory in MiB that such a process keeps after two calls (memory experiment)",
    "max-artifact-mib": "size in MiB of the artifact, or of the weights of a variant without one",
    "max-build-s": "seconds to build the variant once",
    "max-ready-s": "seconds from a running interpreter to the first answer (start-up experiment)",
    "qps": "queries a second under load, with a p99 of at most --max-latency-ms or 50 ms (serving experiment)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE.json", help="saved files of one machine, or "
                        "directories of them")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write the decision as JSON")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of a decision and exit")
    add_budget(parser)


def add_budget(parser: argparse.ArgumentParser) -> None:
    """The options that make a budget (`budget_of`)."""
    parser.add_argument("--budget", type=Path, metavar="FILE.toml", help="file with the options below as keys, such as "
                        "max-error = 0.05; an option on the command line overrides it (default: "
                        "[tool.eagerbench.budget] in pyproject.toml)")
    group = parser.add_argument_group("limits")
    for name, said in _NUMBERS.items():
        group.add_argument(f"--{name}", type=float, metavar="X", help=said)
    group.add_argument("--percentile", type=int, metavar="N", help="apply --max-latency-ms to this percentile: "
                       "90, 95 or 99 (needs 64, 130 or 662 calls)")
    group.add_argument("--class", metavar="CLASS", help=f"loosest tolerance class: {', '.join(budget.CLASSES)}")
    group.add_argument("--workload", action="append", metavar="NAME", help="workload to which the limits apply: 8x128, "
                       "b8-s128 or corpus/b8-sorted-n64; repeatable (default: every latency workload)")
    group.add_argument("--calls", type=int, metavar="N",
                       help="calls of a process: the objective becomes build + load + N calls")
    group.add_argument("--objective", metavar="NAME", help="what to optimise: latency (default), throughput, memory "
                       "or size")
    group.add_argument("--model", action="append", metavar="NAME",
                       help="model to decide for; repeatable (default: all in the files)")


def run(chosen: argparse.Namespace) -> int:
    if chosen.schema:
        say(json.dumps(decision.schema(), indent=1))
        return 0
    if not chosen.files:
        raise BadInput("recommend: name a file, such as .benchmarks/latest.json (`eagerbench run` saves it)")
    limits = budget_of(chosen)
    files = records.expand(chosen.files)
    found = decision.decide([decision.Source(str(file), records.read(file)) for file in files], limits)
    for line in lines(found):
        say(line)
    if chosen.output:
        jsonfile.write(chosen.output, decision.to_json(found))
        say(f"wrote {chosen.output}")
    return 0 if found.decided else NONE_FITS


def budget_of(chosen: argparse.Namespace) -> budget.Budget:
    """Of the file, or of `[tool.eagerbench.budget]`, and of what is typed beside it."""
    found = project.find(Path.cwd())
    values: dict[str, Any] = budget.read(chosen.budget) if chosen.budget else dict(found.budget)
    if values:  # so that the file is named for what is wrong in it
        budget.from_values(values, str(chosen.budget) if chosen.budget else found.budget_name)
    typed = {key: value for key in budget.toml_keys() if (value := getattr(chosen, key.replace("-", "_"))) is not None}
    return budget.from_values({**values, **typed}, "recommend")


def lines(found: Decision, width: int = last_screen.WIDEST, most: int = MOST_LINES) -> list[str]:
    """The whole text: at most so many lines, a share for each model; a command is not broken, to be copied."""
    room = max(2, (most - 2) // max(1, len(found.verdicts)))
    made = [text for verdict in found.verdicts[:(most - 2) // 2] for text in _of_model(verdict, found, width, room)]
    left = len(found.verdicts) - (most - 2) // 2
    more = [f"… and {count(left, 'more model')}: --model NAME, or -o FILE"] if left > 0 else []
    files = ", ".join(found.files[:3]) + (f" and {len(found.files) - 3} more" if len(found.files) > 3 else "")
    asked = found.budget_flags or "none given (--max-error, --max-latency-ms, …)"
    return [*made, *more, *last_screen.wrapped(f"Budget: {asked}; files: {files}", width)][:most]


def _of_model(verdict: Verdict, found: Decision, width: int, room: int) -> Iterator[str]:
    few = len(verdict.workloads) < 5
    where = [verdict.model, *([verdict.device] if verdict.device != "cpu" else []),
             *([count(verdict.threads, "thread")] if verdict.threads else []),
             ", ".join(verdict.workloads) if few else count(len(verdict.workloads), "workload")]
    made = [last_screen.flow("", where, width)[0]]
    for text in verdict.text:
        made += last_screen.wrapped(text, width) if not text.startswith("  ") else command_lines(text, width)
    if len(made) > room:
        made = [*made[:room - 1], "… more in the file that -o FILE writes"]
    yield from made


def command_lines(text: str, width: int) -> list[str]:
    """On one line where it fits; broken with a backslash where not, so that it can be pasted."""
    if len(text) <= width:
        return [text]
    said, _, command = text.strip().partition(": ")
    joined = re.sub(r"(--\S+) (?!--)(?=\S)", "\\1\0", command)  # an option stays with its value
    *parts, last = (part.replace("\0", " ") for part in last_screen.wrapped(joined, width - 6))
    return [f"  {said}:", *(f"    {part} \\" for part in parts), f"    {last}"]
