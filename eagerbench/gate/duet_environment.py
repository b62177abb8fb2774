"""An environment for a side of a duet whose packages are not those of this checkout."""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from eagerbench.gate.duet_checkout import CannotCheckOut, full, with_advice
from eagerbench.machine import owned
from eagerbench.shown import say

CONSTRAINTS = Path("environments") / "main.txt"
_TABLES = ("dependencies", "optional-dependencies")
_COMPLETE = ".installed"  # in the environment, when it is


def interpreter(side: str, directory: Path, repository: Path) -> str:
    """The Python that runs a side: this one where its packages are those of the checkout that this runs in.

    Otherwise that of an environment made with the side's own constraints, kept in `.benchmarks/environments` under
    their digest: a commit that changes a version is compared with the version before it.

    Raises:
        CannotCheckOut: the packages cannot be installed.
    """
    wanted = packages(directory)
    if wanted is None or wanted == packages(repository):
        return os.path.abspath(sys.executable)
    place = repository / ".benchmarks" / "environments" / wanted
    python = place / "bin" / "python"
    if not (place / _COMPLETE).exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with owned.alone(place.with_suffix(".lock"), lambda: say(f"{side}: waiting for another duet, which makes "
                                                                 f"{place}", error=True)):
            if not (place / _COMPLETE).exists():  # the other one may have made it
                _make(side, place, python, directory)
    return str(python)


def _make(side: str, place: Path, python: Path, directory: Path) -> None:
    say(f"{side}: its packages differ from those of this checkout ({CONSTRAINTS}, pyproject.toml); installing them "
        f"into {place}", error=True)
    _run(side, [sys.executable, "-m", "venv", "--clear", str(place)], directory)
    pip = [str(python), "-m", "pip"]
    _run(side, [*pip, "install", "--quiet", "-c", str(CONSTRAINTS), ".[all-cpu,test]"], directory)
    _run(side, [*pip, "uninstall", "--quiet", "--yes", _project(directory)["name"]], directory)
    (place / _COMPLETE).touch()


def packages(directory: Path) -> str | None:
    """Digest of what a directory wants installed, comments left out; None where it does not say."""
    try:
        lines = (directory / CONSTRAINTS).read_text(encoding="utf-8").splitlines()
        project = _project(directory)
    except (OSError, ValueError, KeyError):  # a broken TOML file is a ValueError
        return None
    pins = sorted(filter(None, (line.partition("#")[0].strip() for line in lines)))
    wanted = json.dumps([pins, *(project.get(table) for table in _TABLES)], sort_keys=True)
    return hashlib.sha256(wanted.encode()).hexdigest()[:16]


def _project(directory: Path) -> dict:
    return tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _run(side: str, command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        cause = next((line for line in reversed(said) if full(line)), said[-1])
        raise CannotCheckOut(with_advice(f"{side}: its packages cannot be installed ({cause}); make an environment and "
                                         f"give its interpreter by --{side}-python"))
