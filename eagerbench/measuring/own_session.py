"""Sessions in processes of their own, for commands that start several, and busy processes beside them.

None outlives its command, however that ends; one that dies, fails or hangs costs itself, with a reason of one line.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eagerbench.causes import last_words
from eagerbench.errors import CannotRun
from eagerbench.measuring import own_process
from eagerbench.measuring.own_process import OwnProcess
from eagerbench.results.older import flat
from eagerbench.results.records import unusable
from eagerbench.shown import one_line

TIMEOUT_S = 4 * 3600.0  # its cases have deadlines of their own
SPIN = "while True: pass"
_DIES_WITH_US = "from eagerbench.machine import children\nchildren.die_with_starter()\n"


def command(*arguments: object) -> list[str]:
    """Of `eagerbench run`."""
    return own_process.command("eagerbench", "run", *arguments)


def benchmarks(what: str, arguments: Sequence[object], file: Path | None = None) -> list[dict[str, Any]]:
    """Run a session to its end.

    Args:
        what: it is, for the reason.
        file: to be written; None for one that is read and removed.

    Returns:
        the benchmarks that it saved, at least one.

    Raises:
        CannotRun: it saved none.
    """
    with own_process.scratch() as scratch:
        saved = file or scratch / "run.json"
        process = OwnProcess(what, command(*arguments, "--benchmark-json", saved, "--benchmark-storage",
                                           f"file://{scratch}/saved", "--no-report"), scratch / "notes")
        try:
            own_process.wait([process], lambda process: process.ended, TIMEOUT_S)
            late = not process.ended
        finally:
            status = process.close()
        with contextlib.suppress(OSError, ValueError, KeyError):
            if found := json.loads(saved.read_text())["benchmarks"]:
                return found
        how = f"no end in {TIMEOUT_S / 3600:g} hours" if late else own_process.how_it_ended(status)
        raise CannotRun(f"{what}: {how}{_why(process, saved)}")


def _why(process: OwnProcess, saved: Path) -> str:
    """The reason of a case that was not timed, or what the session said last."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        for cell in json.loads(saved.read_text())["eagerbench"]["cells"]:
            if cell["status"] != "timed":
                return f" ({cell['variant']}: {one_line(cell['reason'])[:300]})"
    said = last_words((process.errors or process.output).decode(errors="replace"), 300)
    return f" ({said})" if said else ""


def usable(benches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Their records, fields side by side.

    Raises:
        CannotRun: other work disturbed one.
    """
    found = [flat(bench["extra_info"]) for bench in benches]
    for record in found:
        if reason := unusable(record):
            raise CannotRun(f"{record['variant']} was disturbed: {reason}")
    return found


@contextlib.contextmanager
def running(*commands: Sequence[str]) -> Iterator[list[OwnProcess]]:
    """While entered, these run beside this process."""
    with own_process.scratch() as scratch, contextlib.ExitStack() as started:
        found = []
        for number, arguments in enumerate(commands):
            found.append(OwnProcess(f"process {number}", arguments, scratch / f"notes{number}"))
            started.callback(found[-1].close)
        yield found


def program(source: str) -> list[str]:
    """The command of a Python program that ends with this process."""
    return [sys.executable, "-c", _DIES_WITH_US + source]
