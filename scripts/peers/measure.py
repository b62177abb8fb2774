"""All sides of every model and shape, process by process in turns: forwards in one repeat, backwards in the next."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scripts.peers import processes
from scripts.peers.prepare import Files
from scripts.peers.sides import ROOT, TOOLS, NoNumber, Repeat, Side

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be measured; `only` keeps the sides whose keys contain one of these words."""

    models: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    repeats: int
    threads: int
    seconds: float
    every: bool
    only: tuple[str, ...]
    scratch: Path
    artifacts: Path


def measure(asked: Asked, say: Say) -> Iterator[dict[str, Any]]:
    """Each number, or why there is none, as soon as its process has ended."""
    for model in asked.models:
        files = _prepared(model, asked)
        for batch, length in asked.shapes:
            call_s: dict[str, float] = {}
            for number in range(asked.repeats):
                repeat = Repeat(files, batch, length, asked.threads, asked.seconds, asked.every, asked.scratch,
                                asked.artifacts, call_s)
                sides = [side for side in repeat.sides() if _asked_for(side, asked.only)]
                for side in sides[:: -1 if number % 2 else 1]:
                    for found in _of(side, asked):
                        if found["seconds"] is not None:
                            call_s.setdefault(found["key"], found["seconds"])
                        say(f"{model} {batch}x{length}, {number + 1} of {asked.repeats}, {found['key']}: "
                            + (f"{1e3 * found['seconds']:.2f} ms" if found["seconds"] else found["error"]))
                        yield {"model": model, "shape": f"{batch}x{length}", "repeat": number, **found}


def _asked_for(side: Side, only: tuple[str, ...]) -> bool:
    return not only or any(word in key for word in only for key in side.keys)


def _of(side: Side, asked: Asked) -> Iterator[dict[str, Any]]:
    """A number for each of a side's keys."""
    common = {"allocator": side.allocator, "others": 0.0}
    if side.missing:
        yield from ({"key": key, "seconds": None, "error": side.missing, **common} for key in side.keys)
        return
    where = ROOT if side.keys[0].startswith("ours/") else asked.scratch  # some tools write logs where they are
    ended = processes.run(side.command, side.environment(asked.threads, asked.seconds), where)
    common["others"] = round(ended.others, 3)
    try:
        numbers = side.read(ended.out) if ended.code in (0, 1) else {}
        reason = ended.last_words
    except NoNumber as no_number:
        numbers, reason = {}, str(no_number) if ended.code == 0 else ended.last_words
    for key in side.keys:
        error = None if key in numbers else f"{side.package} {version(side.python, side.package)}: {reason}"
        yield {"key": key, "seconds": numbers.get(key), "error": error, **common}


@cache
def version(python: Path, package: str) -> str:
    """Of a package in an environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    ended = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return ended.stdout.strip() or "not installed"


def _prepared(model: str, asked: Asked) -> Files:
    """In a process of its own: this one imports no runtime that would run beside the others."""
    given = {"name": model, "shapes": asked.shapes, "threads": asked.threads, "every": asked.every,
             "scratch": str(asked.scratch), "artifacts": str(asked.artifacts),
             "converter": str(TOOLS / "bin" / "ct2-transformers-converter")}
    ended = subprocess.run([sys.executable, "-m", "scripts.peers.prepare", json.dumps(given)], cwd=ROOT,
                           stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{model} cannot be prepared, see above")
    return Files(**json.loads(ended.stdout.splitlines()[-1]))
