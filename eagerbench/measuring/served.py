"""The inside of a process of its own: it dies with its parent, notes what it is doing, and says how it failed."""

import faulthandler
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from eagerbench.causes import cause
from eagerbench.machine import children

ERROR = ".error"  # suffix of the file beside the notes


class Served:
    """
    Args:
        notes: the file that `own_process.OwnProcess` reads.
    """

    def __init__(self, notes: Path):
        self._notes = notes
        children.die_with_starter()
        faulthandler.enable()

    def doing(self, what: str) -> None:
        """Note what comes next, as in `while building`."""
        self._notes.write_text(what)

    def run(self, action: Callable[[], Any]) -> None:
        """Do the work; an exception becomes the reason."""
        try:
            action()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> NoReturn:
        said = str(error) if isinstance(error, SystemExit) else cause(error)
        traceback.print_exception(error)
        self._notes.with_suffix(ERROR).write_text(said or type(error).__name__, errors="backslashreplace")
        sys.exit(1)
