"""Running the suite from a test, as a user would: in a process of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Of other tests than ours. Hypothesis's is imported as a whole at the end of every session, which takes a second.
WITHOUT_PLUGINS = ("-p", "no:hypothesispytest", "-p", "no:anyio")
HALF_WRITTEN = shutil.ignore_patterns("*.pyc.*")  # another worker's, which will have gone when it is copied
CONTRIBUTING = ROOT / "docs" / "contributing.md"
PARTS = ("conftest.py", "correctness_tests", "eagerbench", "fixtures", "perf_tests", "pyproject.toml", "README.md",
         "docs", "runners")


@dataclass(frozen=True)
class Ended:
    """A finished process."""

    code: int
    out: str
    err: str


def own_environment() -> dict[str, str]:
    """Of a session of its own: no model hub, and not a worker of this session's pytest-xdist.

    Tests run several at once: what disturbs them is no fault, unless a test asks for it.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return {"EAGERBENCH_DISTURBED": "accept", **ours, "HF_HUB_OFFLINE": "1"}


def run_python(*arguments: str, cwd: Path = ROOT, timeout: float = 300) -> Ended:
    environment = own_environment()
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout,
                          env=environment, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def run_pytest(*arguments: str, cwd: Path = ROOT, timeout: float = 300) -> Ended:
    return run_python("-m", "pytest", "-p", "no:cacheprovider", *WITHOUT_PLUGINS, *arguments, cwd=cwd, timeout=timeout)


def copy_of_project(directory: Path) -> Path:
    """The project's own files in a new directory, to be changed by a test; compiled ones with them, which spares each
    session that runs there two seconds."""
    directory.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, directory / part, ignore=HALF_WRITTEN)
        else:
            shutil.copy(source, directory / part)
    return directory
