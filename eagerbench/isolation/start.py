"""How a process becomes the supervisor of a session, and what was typed to start it."""

import os
import re
import shlex
import sys
from pathlib import Path
from typing import NoReturn

import eagerbench
from eagerbench.isolation.journal import SUFFIX
from eagerbench.isolation.link import VARIABLE
from eagerbench.isolation.supervisor import POSSIBLE, START_S

NEWEST, FAILED = "newest", "failed"  # values of --resume that are no file
PROGRAMS = ("pytest", "py.test", "eagerbench")
_SUPERVISOR = ("import sys; sys.path.insert(0, sys.argv[1]); from eagerbench.isolation.supervisor import Supervisor; "
               "sys.exit(Supervisor(sys.argv[4:], sys.argv[2], float(sys.argv[3])).run())")
_HARMLESS = re.compile(r"-([xvqsl]+|[km].*)", re.DOTALL)  # short options of pytest
_DOUBTFUL = re.compile(r"--(list-cases|co$|collect|help|version|fixtures|funcargs|markers|cache|setup|pdb|usepdb|trace|"
                       r"benchmark-(disable|skip)|no-isolation|numprocesses|max-worker|looponfail|dist|tx|case-timeout)")
_ELSEWHERE = (VARIABLE, "EAGERBENCH_DUET", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER")


def supervise_early(arguments: list[str]) -> None:
    """Become the supervisor of `eagerbench run ARGUMENTS` before anything large is imported, which takes a second.

    Returns where the words leave a doubt whether the session times; then pytest reads them, and it is decided later.
    """
    script = Path(sys.argv[0])
    called = script.parent.name if script.name == "__main__.py" else script.name
    as_program = called == "eagerbench" and sys.argv[1:] == ["run", *arguments] and sys.orig_argv
    if POSSIBLE and as_program and not any(name in os.environ for name in _ELSEWHERE) and surely_times(arguments):
        supervise(START_S)


def surely_times(arguments: list[str]) -> bool:
    """Whether no word may ask for something else than a session that times, in one process, with nobody typing."""
    return not any(_DOUBTFUL.match(word) or (word[:1] == "-" != word[1:2] and not _HARMLESS.fullmatch(word))
                   for word in arguments)


def supervise(start_s: float) -> NoReturn:
    """Become the supervisor of the command that this process was started by.

    As another program: here numpy's library may have a thread of its own, which would take signals that are waited for.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-c", _SUPERVISOR, str(Path(eagerbench.__file__).parents[1]),
                              again(), str(start_s), sys.executable, *sys.orig_argv[1:]])


def again() -> str:
    """What was typed, to be typed again with `--resume`."""
    before = sys.orig_argv[:len(sys.orig_argv) - len(sys.argv) + 1]
    script = before[-1] if before and before[-2:-1] != ["-m"] else ""
    words = [Path(script).name] if Path(script).name in PROGRAMS else before
    previous = ""
    for word in sys.argv[1:]:
        if word.partition("=")[0] != "--resume" and not (previous == "--resume" and _is_value(word)):
            words = [*words, word]
        previous = word
    return shlex.join(words)


def _is_value(word: str) -> bool:
    return word in (NEWEST, FAILED) or word.endswith(SUFFIX)
