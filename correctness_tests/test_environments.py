"""Extra environments, for each that a backend names: a complete list of pinned versions, and targets that use it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from eagerbench import backends

ROOT = Path(__file__).parents[1]
PREFIX = "make env-"


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
    assert f".venv-{name}/bin/python -m pip install --quiet -r environments/{name}.txt" in plan
    assert (f"--variant '{name}*'" in plan) == (target != "env")
