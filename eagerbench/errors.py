"""Errors that the user can fix. Each has one line that says what is wrong and what to do."""

import difflib
import re
from collections.abc import Iterable

from eagerbench.shown import printable, visible


class BadInput(Exception):
    """A wrong option, model or file. Who catches it prints the line and exits with its code for wrong usage."""

    def __init__(self, text: str):
        super().__init__(visible(text))  # it quotes what was typed


class CannotRun(Exception):
    """A case that this machine, model or package set cannot run. Its text becomes the cell's reason."""

    def __init__(self, text: object):
        super().__init__(printable(text))


class Crashed(CannotRun):
    """A measuring process died, hung or left nothing usable. The case fails; the text says how and where."""


class WrongOutput(Exception):
    """A variant's output differs from eager's. The case fails, and its time is not kept."""

    def __init__(self, text: object):
        super().__init__(printable(text))


class NotEngaged(Exception):
    """The probe found no evidence that the optimisation ran. The case fails, and its time is not kept."""

    def __init__(self, text: object):
        super().__init__(printable(text))


class Refused(ValueError):
    """A variant cannot be built from a model. The text is the whole reason, in plain words."""


def first_line(error: BaseException, text: str | None = None) -> str:
    """`Type: first non-empty line` of an exception, or of what is made of its text, for a table cell.

    Where the text quotes the error that it wraps (`RuntimeError: …` below a TorchScript traceback), that line.
    """
    shown = printable(error if text is None else text)
    text = re.sub(r" at 0x[0-9a-f]+", "", shown)  # an address is another one in every run
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    quoted = [line for line in lines if re.match(r"\w*(Error|Exception): \S", line)]
    if quoted:
        return quoted[-1]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def unknown(kind: str, name: str, valid: Iterable[str], hint: str = "") -> BadInput:
    """`unknown model 'minilmm': did you mean 'minilm'? Valid: …`."""
    valid = list(valid)
    near = difflib.get_close_matches(name, valid, n=1)
    suggestion = f"did you mean {near[0]!r}? " if near else ""
    return BadInput(f"unknown {kind} {name!r}: {suggestion}valid: {', '.join(valid)}{hint}")
