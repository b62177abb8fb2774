"""What can be done with saved benchmark files.

Exit codes: 0 done, or nothing to object to; 1 a regression confirmed; 2 usage, or a file that cannot be read; 3 not
comparable (as a whole, or a benchmark that cannot be read), contaminated, a suspect left unconfirmed or, with --strict,
inconclusive; 4 a correctness failure, a vanished benchmark, or a record that does not fit the schema.
"""

import argparse
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from eagerbench.jsonfile import UnreadableFile
from eagerbench.shown import one_line, printable, say

# Each module has `add_arguments(parser)` and `run(chosen) -> exit code`, and is imported when its command is called.
COMMANDS = {
    "summary": ("eagerbench.results.show", "print the summary tables of a file again"),
    "check": ("eagerbench.results.check", "check every record of a file, or print the schema of records"),
    "gpu": ("eagerbench.results.gpu", "print the tables of a file that scripts/gpu.sh wrote"),
    "plot": ("eagerbench.results.plot", "plot an experiment as one HTML file"),
    "statements": ("eagerbench.results.statements", "whether published statements hold in the records of files"),
    "compare": ("eagerbench.gate.compare", "compare saved files, old with new"),
    "duet": ("eagerbench.gate.duet", "measure two commits in pairs of processes that take turns"),
    "gate": ("eagerbench.gate.gate", "judge the pairs of a duet"),
    "calibrate": ("eagerbench.gate.noise_floor", "write the noise floor that same-code duets show"),
    "history": ("eagerbench.gate.history", "append a verdict's ratios to a history"),
    "merge": ("eagerbench.results.merge", "merge files of several environments or shards into one"),
    "simulate": ("eagerbench.gate.simulate", "false reds and power of this gate and usual rules, simulated"),
}


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # it quotes what was typed


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    purpose, exit_codes = __doc__.split("\n\n")
    parser = Parser(prog="eagerbench", description=purpose, epilog=exit_codes)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose}.".capitalize(), epilog=exit_codes)
        if arguments and arguments[0] == name:
            try:
                importlib.import_module(module).add_arguments(command)
            except ImportError as error:
                say(f"{name} needs {error.name}: pip install it", error=True)
                return 2
    chosen = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # an id may hold what the terminal's encoding does not
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return importlib.import_module(COMMANDS[chosen.command][0]).run(chosen)
    except BrokenPipeError:  # `… | head` has read enough; whoever asks for the exit code learns of no verdict
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 128 + signal.SIGPIPE
    except UnreadableFile as error:
        say(error, error=True)
    except RecursionError:
        say("a file is nested too deeply to be a benchmark file", error=True)
    except Exception as error:  # Python's own exit code, 1, would read as a confirmed regression
        last = traceback.extract_tb(error.__traceback__)[-1]
        say(f"{chosen.command}: {type(error).__name__}: {one_line(error)[:200]} ({Path(last.filename).name} line "
            f"{last.lineno}): a mistake of ours; please report it with the file", error=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
