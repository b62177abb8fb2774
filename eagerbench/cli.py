"""Benchmark every way to run a transformer against PyTorch eager, and read what was saved.

Exit codes: 0 done, and nothing that may fail a build; 1 a regression confirmed, or no variant fits a budget; 2 usage,
or a file that cannot be read; 3 not comparable (as a whole, or a benchmark that cannot be read), contaminated, a
suspect left unconfirmed or, with --strict, inconclusive; 4 a correctness failure, a vanished benchmark, or a record
that does not fit the schema, or no package was made. Those of `run` and `list-cases` are pytest's: 0 all passed; 1 a
test failed, or no time is usable; 2 interrupted; 3 an error in pytest or a plugin; 4 usage; 5 nothing ran.
"""

import argparse
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from eagerbench.errors import BadInput
from eagerbench.isolation import start
from eagerbench.jsonfile import UnreadableFile
from eagerbench.machine import children
from eagerbench.shown import one_line, printable, say

_PURPOSE, _EXIT_CODES = __doc__.split("\n\n")
# Each function takes the options as pytest does and returns its exit code.
PYTEST_COMMANDS = {
    "run": ("eagerbench.fixtures.running", "run", "run the benchmarks and save them; accepts pytest's options"),
    "list-cases": ("eagerbench.fixtures.running", "list_cases", "print what `run` would run with the same options"),
}
# The same, started by other commands alone.
STARTED = {"side": ("eagerbench.fixtures.running", "side", "run a side of a duet")}
# Each module has `add_arguments(parser)` and `run(chosen) -> exit code`, and is imported when its command is called.
COMMANDS = {
    "summary": ("eagerbench.results.summary", "print the summary tables of a file again"),
    "check": ("eagerbench.results.check", "check every record of a file, or print the schema of records"),
    "recommend": ("eagerbench.results.recommend", "which variant to take under a budget"),
    "package": ("eagerbench.packaging.command", "a variant as a directory or .zip file that runs without this project"),
    "artifacts": ("eagerbench.store.command", "list the built models that are kept, and prune them"),
    "rescue": ("eagerbench.results.rescue", "make an ordinary file of what an interrupted session left"),
    "gpu": ("eagerbench.results.gpu", "print the tables of a file that scripts/gpu.sh wrote"),
    "report": ("eagerbench.results.report.command", "one HTML file: what to take, and every record"),
    "plot": ("eagerbench.results.plot", "plot an experiment as one HTML file"),
    "statements": ("eagerbench.results.statements", "check published statements against the records of files"),
    "compare": ("eagerbench.gate.compare", "compare saved files, old with new"),
    "duet": ("eagerbench.gate.duet", "measure two commits in pairs of processes that take turns"),
    "gate": ("eagerbench.gate.gate", "judge the pairs of a duet"),
    "calibrate": ("eagerbench.gate.noise_floor", "write the noise floor that same-code duets show"),
    "history": ("eagerbench.history.command", "ratios over time: keep them in a folder, and report what changed"),
    "fleet": ("eagerbench.fleet.command", "several machines side by side: who is fastest where, and does it travel"),
    "merge": ("eagerbench.results.merge", "merge files of several environments or shards into one"),
    "simulate": ("eagerbench.gate.simulate", "simulate false alarms and power of this gate and of usual rules"),
    "noise": ("eagerbench.measuring.noise", "measure how far speed-ups of the same code differ between processes"),
    "busy": ("eagerbench.measuring.busy", "measure what busy processes beside a session do to its ratios"),
    "choices": ("eagerbench.measuring.choices", "count how often the recommendation flips between measurements"),
    "wait-policy": ("eagerbench.measuring.wait_costs", "measure each wait policy, quiet and with one core busy"),
}


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # it quotes what was typed


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    children.die_with_starter()
    if arguments and arguments[0] in {*PYTEST_COMMANDS, *STARTED}:
        return _by_pytest(*arguments)
    try:
        chosen = _parser(arguments[0] if arguments else "").parse_args(arguments)
    except ImportError as error:
        if (error.name or "").startswith("eagerbench"):  # not what somebody has to install
            raise
        say(f"{arguments[0]} needs {error.name}: pip install it", error=True)
        return 2
    for stream in (sys.stdout, sys.stderr):  # an id may hold what the terminal's encoding does not
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return importlib.import_module(COMMANDS[chosen.command][0]).run(chosen)
    except BrokenPipeError:  # `… | head` has read enough; whoever asks for the exit code learns of no verdict
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 128 + signal.SIGPIPE
    except (BadInput, UnreadableFile) as error:
        say(error, error=True)
    except RecursionError:
        say("a file is nested too deeply to be a benchmark file", error=True)
    except Exception as error:  # Python's own exit code, 1, would read as a confirmed regression
        last = traceback.extract_tb(error.__traceback__)[-1]
        say(f"{chosen.command}: {type(error).__name__}: {one_line(error)[:200]} ({Path(last.filename).name} line "
            f"{last.lineno}): a bug of eagerbench; please report it with the file", error=True)
    return 2


def _by_pytest(name: str, *arguments: str) -> int:
    module, function, purpose = {**PYTEST_COMMANDS, **STARTED}[name]
    if name == "run":
        start.supervise_early(list(arguments))
    if {"-h", "--help"} & set(arguments):  # pytest's own follows
        say(f"usage: eagerbench {name} [options] [test_latency.py …]\n\n{purpose.capitalize()}.\n\n"
            f"{_EXIT_CODES}\nOptions are pytest's and those under `eagerbench: what to run`:\n")
    return getattr(importlib.import_module(module), function)(list(arguments))


def _parser(called: str) -> Parser:
    """Of all commands, with the options of the one that is called."""
    parser = Parser(prog="eagerbench", description=_PURPOSE, epilog=_EXIT_CODES)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, _, purpose) in PYTEST_COMMANDS.items():
        commands.add_parser(name, help=purpose)
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose}.".capitalize(), epilog=_EXIT_CODES)
        if name == called:
            importlib.import_module(module).add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
