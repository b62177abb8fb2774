"""Benchmark transformer backends against PyTorch eager, and analyse the saved results.

Exit codes:
  0  done, and nothing that should fail a build
  1  a regression was confirmed, or no variant fits the limits
  2  wrong usage, or a file that cannot be read
  3  no verdict: not comparable, contaminated, a suspect left unconfirmed, or (with --strict) inconclusive
  4  a correctness failure, a vanished benchmark, a record that does not fit the schema, or no package written
Those of `run` and `list-cases` are pytest's:
  0  all passed
  1  a test failed, or no time is usable
  2  interrupted
  3  an error in pytest or a plugin
  4  wrong usage
  5  nothing ran
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
    "run": ("eagerbench.fixtures.running", "run", "run the benchmarks and save the results; accepts pytest's options"),
    "list-cases": ("eagerbench.fixtures.running", "list_cases",
                   "print what `run` would run with the same options, and why it would skip the rest"),
}
# The same, started by other commands alone.
STARTED = {"side": ("eagerbench.fixtures.running", "side", "run a side of a duet")}
# Each module has `add_arguments(parser)` and `run(chosen) -> exit code`, and is imported when its command is called.
COMMANDS = {
    "summary": ("eagerbench.results.summary", "print every table of a saved file"),
    "check": ("eagerbench.results.check", "check every record of a saved file, or print the schema of records"),
    "recommend": ("eagerbench.results.recommend", "name the variant to take under your limits"),
    "package": ("eagerbench.packaging.command",
                "write a variant as a directory or .zip file that runs without eagerbench"),
    "artifacts": ("eagerbench.store.command", "list the built models that are kept, or prune them"),
    "rescue": ("eagerbench.results.rescue", "turn the journal of an interrupted session into an ordinary saved file"),
    "gpu": ("eagerbench.results.gpu", "print the tables of a file that scripts/gpu.sh wrote"),
    "report": ("eagerbench.results.report.command", "write one HTML page: what to take, and every record"),
    "plot": ("eagerbench.results.plot", "plot an experiment as one HTML file"),
    "statements": ("eagerbench.results.statements", "check published statements against saved files"),
    "compare": ("eagerbench.gate.compare", "compare old saved files with new ones"),
    "duet": ("eagerbench.gate.duet", "measure two commits in pairs of processes that take turns"),
    "gate": ("eagerbench.gate.gate", "measure two commits and judge whether head is slower, or judge saved duets"),
    "calibrate": ("eagerbench.gate.noise_floor", "compute the noise floor of a machine from duets of the same code"),
    "history": ("eagerbench.history.command", "keep ratios of runs in a folder, and report what changed over time"),
    "fleet": ("eagerbench.fleet.command", "compare machines: which variant is fastest where, and do rankings agree"),
    "merge": ("eagerbench.results.merge", "merge files of several environments or shards into one"),
    "simulate": ("eagerbench.gate.simulate", "simulate false alarms and power of the gate and of usual rules"),
    "noise": ("eagerbench.measuring.noise", "measure how far speed-ups of the same code differ between processes"),
    "busy": ("eagerbench.measuring.busy", "measure how busy processes affect the ratios of a session"),
    "choices": ("eagerbench.measuring.choices", "count how often the recommendation differs between measurements"),
    "wait-policy": ("eagerbench.measuring.wait_costs", "measure each wait policy, quiet and with one core busy"),
}


_AS_WRITTEN = argparse.RawDescriptionHelpFormatter  # keeps the lines of the exit codes


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
        say(f"usage: eagerbench {name} [options] [test_latency.py …]\n\n{_sentence(purpose)}\n\n"
            f"{_EXIT_CODES}\nOptions are those under `eagerbench: what to run`, and pytest's:\n")
    return getattr(importlib.import_module(module), function)(list(arguments))


def _sentence(purpose: str) -> str:
    return f"{purpose[0].upper()}{purpose[1:]}."


def _parser(called: str) -> Parser:
    """Of all commands, with the options of the one that is called."""
    parser = Parser(prog="eagerbench", description=f"{_PURPOSE}\n\n`eagerbench COMMAND --help` lists its options.",
                    epilog=_EXIT_CODES, formatter_class=_AS_WRITTEN)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for name, (_, _, purpose) in PYTEST_COMMANDS.items():
        commands.add_parser(name, help=purpose)
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=_sentence(purpose), epilog=_EXIT_CODES,
                                      formatter_class=_AS_WRITTEN)
        if name == called:
            importlib.import_module(module).add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
