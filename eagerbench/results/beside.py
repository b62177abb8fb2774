"""Many files read by two processes: this one reads the first part, another the rest.

Run as `python -m eagerbench.results.beside`: what reads a file, and a list of paths, come pickled on its standard
input, and a pickled answer goes to its standard output.
"""

import contextlib
import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

from eagerbench.jsonfile import UnreadableFile
from eagerbench.machine import quota

LEAST_BYTES = 32 * 2**20  # below it a second process takes longer to start than it saves
_OWN_SHARE = 0.55  # of the bytes: the other process has to start first
Read = TypeVar("Read")
_ROOT = Path(__file__).parents[2]


def mapped(read: Callable[[Path], Read], files: Sequence[Path]) -> list[Read]:
    """What `read`, a function of a module, makes of each file, in order.

    Raises:
        UnreadableFile: of the first file that cannot be read.
    """
    cut = _cut(files)
    if cut == len(files):
        return [read(file) for file in files]
    with subprocess.Popen([sys.executable, "-m", __name__], env=_environment(), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        try:
            with contextlib.suppress(OSError):  # it has ended
                other.stdin.write(pickle.dumps((read, list(files[cut:]))))
                other.stdin.close()
            found = [read(file) for file in files[:cut]]
            rest = _answer(other.stdout.read(), len(files) - cut)
        finally:
            other.kill()
    # Without an answer (killed, out of memory) nothing of it may be missing.
    return found + ([read(file) for file in files[cut:]] if rest is None else rest)


def _cut(files: Sequence[Path]) -> int:
    """How many of the files this process reads; all of them where they are few, or where it has one core."""
    try:
        sizes = list(accumulate(file.stat().st_size for file in files))
    except OSError:
        return len(files)  # whoever reads it says what is wrong
    if not sizes or sizes[-1] < LEAST_BYTES or quota.usable_cores() < 2:
        return len(files)
    return sum(size <= _OWN_SHARE * sizes[-1] for size in sizes)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


def _answer(raw: bytes, count: int) -> list[Any] | None:
    """
    Raises:
        UnreadableFile: as the other process did.
    """
    try:
        runs, problems = pickle.loads(raw)
    except Exception:  # half of an answer fails in many ways
        return None
    if problems:
        raise UnreadableFile(*problems)
    return runs if len(runs) == count else None


def main() -> None:
    gc.disable()  # as in the process that asks
    answer: tuple[list[Any], list[str]]
    read, files = pickle.load(sys.stdin.buffer)
    try:
        answer = [read(file) for file in files], []
    except UnreadableFile as error:
        answer = [], str(error).split("\n")
    sys.stdout.buffer.write(pickle.dumps(answer, protocol=5))


if __name__ == "__main__":
    main()
