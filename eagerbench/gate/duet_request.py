"""What a duet is asked for: what was typed, and what `[tool.eagerbench]` says of the rest."""

import argparse
import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eagerbench import project
from eagerbench.gate import duet_checkout
from eagerbench.gate.duet_checkout import CannotCheckOut, Source
from eagerbench.selection import default_artifacts

SIDES = ("base", "head")
DEFAULTS = {"design": "turns", "time_out": 600.0, "lenient": False, "strict": False}
_TEST = re.compile(r"[^-].*\.py(::.*)?")
_NAME = "@name="


@dataclass(frozen=True)
class Request:
    """
    Attributes:
        found: what the file says.
        selection: options and files as they would be typed behind `--`.
        of_side: the model of each side, base and null alike, where two models are compared.
    """

    found: project.Project
    selection: list[str]
    of_side: Mapping[str, str]


def complete(chosen: argparse.Namespace, most_turns: int) -> project.Project:
    """Set what was not typed from the file, and the rest by default.

    Raises:
        BadInput: the file is wrong.
    """
    found = project.find(Path.cwd())
    for key, default in {**DEFAULTS, "turns": most_turns, "base": None, "noise_floor": None}.items():
        if getattr(chosen, key, None) in (None, False):
            setattr(chosen, key, found.gating.get(key.replace("_", "-"), default))
    if isinstance(chosen.noise_floor, str):
        chosen.noise_floor = Path(chosen.noise_floor)
    if chosen.design not in ("turns", "abba") or chosen.turns < 1 or not chosen.time_out > 0:
        raise CannotCheckOut(f"{found.file}: [tool.eagerbench.gate]: design is turns or abba, and turns and time-out "
                             "are above 0")
    return found


def read(chosen: argparse.Namespace, found: project.Project) -> Request:
    """The selection: what was typed behind `--`, and what the file says of other options."""
    typed = project.typed(chosen.selection)
    of_file = {**found.options, **found.gate}
    words = [*project.words({key: texts for key, texts in of_file.items() if key not in typed}), *chosen.selection]
    of_side = _of_sides(chosen)
    return Request(found, without_models(words)[1] if of_side else words, of_side)


def of_tests(words: list[str], found: project.Project) -> tuple[list[str], list[str]]:
    """Test files among words, or those of the file; and the other words."""
    named = [word for before, word in itertools.pairwise(["", *words])
             if _TEST.fullmatch(word) and not before.startswith("--")]
    return named or list(found.gating.get("tests", ())), [word for word in words if word not in named]


def without_models(words: list[str]) -> tuple[list[str], list[str]]:
    """Values of --model, and the other words."""
    models, rest, following = [], [], False
    for word in words:
        if following:
            models.append(word)
        elif word.startswith("--model="):
            models.append(word.partition("=")[2])
        elif word != "--model":
            rest.append(word)
        following = word == "--model" and not following
    return models, rest


def _of_sides(chosen: argparse.Namespace) -> dict[str, str]:
    """Both models under the name of head's: they are one benchmark."""
    given = {side: getattr(chosen, f"{side}_model", None) for side in SIDES}
    if not any(given.values()):
        return {}
    lacking = [side for side, model in given.items() if not model]
    if lacking:
        raise CannotCheckOut(f"--{lacking[0]}-model is missing: give both models, such as --base-model ./parent "
                             "--head-model ./tuned")
    name = given["head"].partition(_NAME)[2] or re.sub(r"[^A-Za-z0-9_.-]+", "-", _bare(given["head"]))
    found = {}
    for side, model in given.items():
        path = Path(model.partition("@")[0]).expanduser()
        placed = str(path.absolute()) if path.is_dir() else model.partition("@")[0]
        options = [part for part in model.partition("@")[2].split(",") if part and not part.startswith("name=")]
        found[side] = f"{placed}@{','.join([*options, f'name={name}'])}"
    return {**found, "null": found["base"]}


def _bare(model: str) -> str:
    """`tuned` of `./runs/tuned`, `my_package.models.build` of its factory."""
    named = model.partition("@")[0].rstrip("/")
    path = Path(named).expanduser()
    return (path.resolve().name if path.is_dir() else named.replace(":", ".").rpartition("/")[2]) or "model"


def sources(chosen: argparse.Namespace, repository: Path) -> tuple[Source, Source]:
    """What base and head are made from: without --base, of two models or environments, the directory itself.

    Raises:
        CannotCheckOut: neither --base, nor anything else to compare.
    """
    others = [f"{side}-{what}" for side in SIDES for what in ("model", "python")
              if getattr(chosen, f"{side}_{what}", None)]
    if chosen.base is None and not others:
        raise CannotCheckOut("nothing to compare with: give --base REV, or base in [tool.eagerbench.gate]; or two "
                             "models by --base-model and --head-model, or two environments by --base-python and "
                             "--head-python")
    if chosen.base is None and chosen.head == ".":
        here = duet_checkout.in_place(repository)
        return here, here
    base = chosen.head if chosen.base is None else chosen.base
    return (duet_checkout.resolve("--base", base, repository), duet_checkout.resolve("--head", chosen.head, repository))


def arguments(selection: list[str], repository: Path, ours: bool) -> list[str]:
    """Of pytest, for both sides. Paths are made absolute, as the sides run elsewhere; they share a cache of artifacts.

    Args:
        ours: the sides bring the suite, whose tests are named here.
    """
    made = absolute(selection, repository)
    if not any(argument.startswith("--artifacts") for argument in selection):
        # In one word: pytest would take a path of its own for a place of tests, and load the conftest.py above it.
        made.append(f"--artifacts={repository / default_artifacts()}")
    if not ours:
        return made
    named = any(argument.partition("::")[0].startswith("perf_tests") for argument in selection)
    return [*([] if named else ["perf_tests"]), "--benchmark-only", *made]


def absolute(words: list[str], repository: Path) -> list[str]:
    """With paths that hold elsewhere, too."""
    made = []
    for argument in words:
        option, equals, value = argument.rpartition("=")
        path = value.startswith(("./", "../")) or value in (".", "..") or (equals and _exists(repository / value))
        made.append(f"{option}{equals}{os.path.normpath(repository / value)}" if path else argument)
    return made


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a name
        return False


def allocator(words: list[str]) -> str:
    given = dict(itertools.pairwise(words)).get("--allocator")
    return given or next((word.partition("=")[2] for word in words if word.startswith("--allocator=")), "pinned")
