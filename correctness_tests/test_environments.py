"""Extra environments, for each that a backend names: a complete list of pinned versions, and targets that use it."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from eagerbench import backends

ROOT = Path(__file__).parents[1]
PREFIX = "make env-"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What an import is installed by, where it is called otherwise.
DISTRIBUTIONS = {"cpuinfo": "py-cpuinfo", "markupsafe": "jinja2", "_pytest": "pytest", "xdist": "pytest-xdist"}


def environments() -> list[str]:
    installs = [backend.install for _, backend in backends.variants().values()]
    return sorted({install.removeprefix(PREFIX) for install in installs if install.startswith(PREFIX)})


@pytest.mark.parametrize("name", environments())
def test_every_version_is_pinned(name):
    lines = (ROOT / "environments" / f"{name}.txt").read_text().splitlines()
    assert len(lines) > 30
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.!-]+", line) for line in lines)


@pytest.mark.parametrize("name", environments())
@pytest.mark.parametrize("target", ["env", "bench", "test"])
def test_make_target_uses_the_environment(name, target):
    if shutil.which("make") is None:
        pytest.skip("no make on PATH")
    plan = subprocess.run(["make", "--dry-run", "--always-make", f"{target}-{name}"], cwd=ROOT, capture_output=True,
                          text=True, check=True).stdout
    assert f".venv-{name}/bin/python -m pip install --quiet --no-deps -r environments/{name}.txt" in plan
    assert (f"--variant '{name}*'" in plan) == (target != "env")


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in requirements if line[:1] not in "#"}


@pytest.mark.parametrize("name", ["main", *environments()])
def test_every_environment_has_what_the_suite_needs(name):
    pinned = names((ROOT / "environments" / f"{name}.txt").read_text().splitlines())
    assert not names(PROJECT["dependencies"]) - pinned


def test_what_only_tests_import_is_no_dependency():
    """And what the package imports at the top of a module is one, or that of an extra."""
    found = set()
    for directory in ("eagerbench", "fixtures", "perf_tests"):
        for file in set((ROOT / directory).rglob("*.py")) - set((ROOT / "eagerbench/packaging/templates").iterdir()):
            for node in ast.parse(file.read_text()).body:
                found |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
                found |= {node.module} if isinstance(node, ast.ImportFrom) else set()
    packages = {name.partition(".")[0] for name in found} - {*sys.stdlib_module_names, "eagerbench"}
    needed = {DISTRIBUTIONS.get(name, name).replace("_", "-") for name in packages}
    extras = PROJECT["optional-dependencies"]
    optional = names([line for extra, lines in extras.items() if extra != "test" for line in lines])
    xdist = {"pytest-xdist"}  # fixtures/xdist_groups.py is imported by its hook
    assert needed - names(PROJECT["dependencies"]) - optional - xdist == set()
    assert not names(PROJECT["dependencies"]) & {"hypothesis", "ruff", "statsmodels", "zizmor", "check-jsonschema"}
