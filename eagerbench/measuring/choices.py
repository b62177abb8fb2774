"""How often the recommendation flips between fresh measurements of one machine: `eagerbench choices`.

Each measurement is a session of its own; its file stays in a directory, so that an interrupted count goes on.
"""

import argparse
from pathlib import Path

from eagerbench import jsonfile
from eagerbench.errors import BadInput, CannotRun
from eagerbench.measuring import own_session
from eagerbench.results import fingerprint, grid, records
from eagerbench.results.decision import Budget, Source
from eagerbench.results.decision.stability import Stability, speedups, stability, to_json
from eagerbench.results.grid import Grid
from eagerbench.results.recommended import ALLOWED
from eagerbench.shown import count, say

CASE = ("--model", "minilm", "--batch-sizes", "4", "--sequence-lengths", "64", "--threads", "1", "--time-budget", "5",
         *(part for name in ("eager", "sdpa", "onnxruntime", "openvino", "eager-bf16", "openvino-bf16",
                             "onnxruntime-int8", "openvino-int8") for part in ("--variant", name)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=20, help="number of measurements (default: 20)")
    parser.add_argument("--directory", type=Path, default=Path(".benchmarks/choices"),
                        help="directory of their files; a measurement whose file is there is not repeated "
                             "(default: .benchmarks/choices)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write every decision as JSON")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")


def run(chosen: argparse.Namespace) -> int:
    if chosen.runs < 2:
        raise BadInput(f"--runs {chosen.runs}: give 2 or more, to compare one choice with another")
    chosen.directory.mkdir(parents=True, exist_ok=True)
    files = [chosen.directory / f"{number:03}.json" for number in range(1, chosen.runs + 1)]
    for file in files:
        if not file.exists():
            _measure(file)
    sources = [Source(file.name, records.read(file)) for file in files if file.exists()]
    if len(sources) < 2:
        raise BadInput(f"{chosen.directory}: fewer than two measurements; see the lines above")
    found = [stability(sources, name, Budget(tolerance_class=of_class)) for name, of_class in ALLOWED]
    grid.show([table(found, len(sources))], chosen.markdown)
    if chosen.output:
        about = {"case": " ".join(CASE), "machine": fingerprint.of(sources[0].content.get("machine_info")),
                 "measurements": [{"when": str(one.content.get("datetime", "")), "speedups": speedups(one)}
                                  for one in sources]}
        jsonfile.write(chosen.output, to_json(found, about))
        say(f"wrote {chosen.output}")
    return 0


def _measure(file: Path) -> None:
    """One session; one that fails is told, and the others go on."""
    try:
        found = own_session.benchmarks(file.name, ["test_latency.py", *CASE], file.absolute())
        say(f"{file.name}: {count(len(found), 'case')} measured", error=True)
    except CannotRun as error:
        say(error, error=True)


def table(found: list[Stability], files: int) -> Grid:
    rows = []
    for one in found:
        chosen = ", ".join(f"{name} {times}" for name, times in one.chosen.items())
        ties = f" (= {', '.join(one.together_ties)})" if one.together_ties else ""
        rows.append([one.budget, f"{one.together}{ties}", chosen, f"{one.missed} of {files}",
                     f"{one.flips} of {one.pairs}"])
    return Grid(f"Choices of {files} measurements", ["allowed", "all together", "chosen", "missed it", "flips"], rows,
                "Missed it: files that name that variant neither as choice nor as tie. Flips: pairs of files "
                "with different choices, neither of which called the other's choice a tie.")
