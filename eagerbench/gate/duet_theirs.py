"""Sides of a duet that are states of the user's repository: one suite measures both, and each runs its own code.

What differs between them are factories, modules and weights. A side's own directories come first on its `sys.path`, and
that its packages really come from there is asked of its interpreter before anything is measured.
"""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import eagerbench
from eagerbench.causes import last_words
from eagerbench.gate import duet_parts, duet_start, git
from eagerbench.gate.duet_checkout import CannotCheckOut
from eagerbench.gate.duet_side import Checkout
from eagerbench.project import Project
from eagerbench.shown import say

SUITE = Path(eagerbench.__file__).resolve().parents[1]
_START = Path(__file__).resolve().with_name("duet_start.py")
_FACTORY = re.compile(r"([A-Za-z_]\w*)[\w.]*:[A-Za-z_]\w*(@.*)?")
_MOST_PACKAGES = 100
_START_S = 120.0


@dataclass(frozen=True)
class Theirs:
    """What is asked of the user's repository.

    Attributes:
        project: what its pyproject.toml says now.
        models: as named; those of `of_side` alone where both sides have their own.
        tests: files and directories of the repository, instead of the suite's latency test.
        of_side: the model of each side, by its name, where two models are compared.
        environments: sides whose interpreter was named: their installed packages are what is compared.
    """

    project: Project
    models: tuple[str, ...]
    tests: tuple[str, ...]
    of_side: Mapping[str, str]
    environments: frozenset[str]


def suite() -> dict[str, str]:
    """What measures both sides, for the record."""
    from importlib import metadata

    try:
        version = metadata.version("eagerbench")
    except metadata.PackageNotFoundError:
        version = "unknown"
    found = (git.output(SUITE, "rev-parse", "--show-toplevel", "HEAD") or "").splitlines()
    clone = len(found) == 2 and Path(found[0]) == SUITE  # not a repository that has an environment in it
    return {"version": version, **({"revision": found[1]} if clone else {})}


def sides(places: Mapping[str, Checkout], asked: Theirs, repository: Path, copied: bool) -> dict[str, Checkout]:
    """The sides with what each is to run.

    Args:
        places: base, head and null, with their directory and interpreter.
        repository: the working directory of the command.
        copied: whether the sides are in directories of their own.

    Raises:
        CannotCheckOut: a side has none of the models, or would run code that is not its own.
    """
    if not (asked.models or asked.tests or asked.of_side or asked.environments):
        raise CannotCheckOut("nothing of this repository would be measured: name its models, as model = "
                             '["my_package.models:build"] in [tool.eagerbench] of pyproject.toml or behind --, as in '
                             "-- --model my_package.models:build")
    if copied and not asked.environments and len({_packages_wanted(place.directory) for place in places.values()}) > 1:
        say("base and head need different packages (pyproject.toml): both run in this environment; give each its own "
            "by --base-python and --head-python", error=True)
    found = {}
    for name, place in places.items():
        roots = asked.project.roots(place.directory)
        models = (asked.of_side[name],) if asked.of_side else _models(name, asked, places, repository)
        if copied and name != "null":
            for line in duet_parts.lacking(name, place.directory):
                say(line, error=True)
        _refuse_pointers(name, place.directory, models)
        command = ("-P", str(_START), str(SUITE), os.pathsep.join(map(str, roots)))
        found[name] = replace(place, code=SUITE, command=(*command, "side", *asked.tests, "--"),
                              models=tuple(f"--model={model}" for model in models))
        if name != "null":
            factories = _packages(asked.models) if copied else []
            _verify(found[name], [place.python, *command], roots if copied else [], factories,
                    name in asked.environments)
    return found


def _packages_wanted(directory: Path) -> str:
    """Of a side's pyproject.toml; empty where it does not say."""
    try:
        table = tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return ""
    return json.dumps([table.get(name) for name in ("dependencies", "optional-dependencies")], sort_keys=True)


def _models(name: str, asked: Theirs, places: Mapping[str, Checkout], repository: Path) -> list[str]:
    """Those that this side has. One that neither has is the working directory's, the same for both."""
    mine = [model for model in asked.models if _has(places[name].directory, asked, model)]
    nowhere = [model for model in asked.models if not any(_has(place.directory, asked, model)
                                                          for place in places.values())]
    for model in nowhere:
        path = repository / _path(model)
        if path.is_dir():
            if name == "base":
                say(f"--model {model}: git does not track it, so both sides load {path}", error=True)
            mine.append(model.replace(_path(model), str(path), 1))
        elif _FACTORY.fullmatch(model) or not _is_path(model):
            mine.append(model)
        else:
            raise CannotCheckOut(f"--model {model}: no such directory, in a revision or in {repository}")
    if asked.models and not mine:
        raise CannotCheckOut(f"{name}: it has none of the models ({', '.join(asked.models)}); choose another revision")
    return [model for model in asked.models if model in mine] + [model for model in mine if model not in asked.models]


def _has(directory: Path, asked: Theirs, model: str) -> bool:
    """Whether the files of a side hold a model, or its package."""
    if factory := _FACTORY.fullmatch(model):
        return any((root / f"{factory[1]}.py").exists() or (root / factory[1]).is_dir()
                   for root in asked.project.roots(directory))
    path = Path(_path(model))
    return not path.is_absolute() and (directory / path).is_dir()


def _path(model: str) -> str:
    return re.sub(r"@(layers|head|name)\b[^/]*$", "", model)


def _is_path(model: str) -> bool:
    return model.startswith((".", "/", "~"))


def _refuse_pointers(side: str, directory: Path, models: Sequence[str]) -> None:
    for model in models:
        place = directory / _path(model)
        if not _FACTORY.fullmatch(model) and place.is_dir():
            for file in duet_parts.lfs_pointers(place):
                raise CannotCheckOut(f"{side}: --model {model}: {file.name} is a pointer of Git LFS, not the weights; "
                                     "type git lfs install; git lfs fetch --all; git lfs checkout")


def _packages(models: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(found[1] for model in models if (found := _FACTORY.fullmatch(model))))


def _verify(side: Checkout, command: list[str], roots: list[Path], factories: list[str], environment: bool) -> None:
    """Ask a side's interpreter where it would import the user's packages from, and whether it has what the suite needs.

    Raises:
        CannotCheckOut: not from the side's own directories.
    """
    own = [place.parent.name for root in roots for place in sorted(root.glob("*/__init__.py"))][:_MOST_PACKAGES]
    names = list(dict.fromkeys([*factories, *own]))
    try:
        done = subprocess.run([*command, duet_start.WHERE, *names], cwd=side.directory, capture_output=True, text=True,
                              check=False, timeout=_START_S)
        said = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        words = last_words(done.stderr) if "done" in locals() else str(error)
        raise CannotCheckOut(f"{side.name}: {side.python} cannot start the suite ({words}); it takes Python 3.11 or "
                             "newer") from None
    if said["missing"]:
        raise CannotCheckOut(f"{side.name}: {side.python} lacks {', '.join(said['missing'])}: install eagerbench "
                             "there, for what it needs")
    for name in names:
        origin = said["origins"][name]
        inside = origin and any(Path(origin).resolve().is_relative_to(root.resolve()) for root in roots)
        if inside or (environment and name not in own):
            continue
        if name in own or any((root / name).is_dir() for root in roots):
            raise CannotCheckOut(f"{side.name}: {name} would be imported from {origin or 'nowhere'}, not from "
                                 f"{side.directory}: an installed copy comes first; uninstall it (pip uninstall), or "
                                 f"give an environment without it by --{side.name}-python")
        if not origin:
            raise CannotCheckOut(f"{side.name}: there is no package {name}, neither in "
                                 f"{' or '.join(map(str, roots))} nor installed; name its directory as pythonpath in "
                                 "[tool.eagerbench]")
        raise CannotCheckOut(f"{side.name}: {name} is not in this repository; it would be imported from {origin}, the "
                             "same code on both sides; name its directory as pythonpath in [tool.eagerbench], or give "
                             "two environments by --base-python and --head-python")
