"""Wheels for an interpreter where nothing can be installed."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from running import ROOT

from scripts.gpu import wheels


def wheel(directory, name, **files):
    directory.mkdir(exist_ok=True)
    with zipfile.ZipFile(directory / name, "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{file}.py", text)


def test_wheels_that_fit_and_are_missing_are_unpacked(tmp_path, monkeypatch):
    place = tmp_path / wheels.DIRECTORY
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheel(place, "made_up-1.0-py3-none-any.whl", made_up="version = 1")
    wheel(place, "made_up-1.10-py3-none-any.whl", made_up="version = 10")
    wheel(place, "made_up-1.9-py3-none-any.whl", made_up="version = 9")
    wheel(place, "numpy-99.0-py3-none-any.whl", numpy="")
    wheel(place, "foreign-1.0-cp27-cp27m-win32.whl", foreign="")
    wheel(place, f"compiled-1.0-{tag}-{tag}-linux_{os.uname().machine}.whl", compiled="")
    assert sorted(one.name.partition("-")[0] for one in wheels.lacking(place)) == ["compiled", "made_up"]
    monkeypatch.setenv("PYTHONPATH", "/mine")
    for _ in range(2):
        environment = wheels.environment(tmp_path)
    assert environment["PYTHONPATH"].split(os.pathsep)[:2] == [str(tmp_path), "/mine"]
    done = subprocess.run([sys.executable, "-c", "import made_up, compiled; print(made_up.version)"], env=environment,
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "10"
    assert wheels.environment(tmp_path / "elsewhere")["PYTHONPATH"].split(os.pathsep) == \
        [str(tmp_path / "elsewhere"), "/mine"]


def test_the_wheels_are_pinned_as_the_environment_is():
    pinned = (ROOT / "environments" / "main.txt").read_text().splitlines()
    lines = (ROOT / "environments" / "gpu-wheels.txt").read_text().splitlines()[1:]
    assert set(lines) <= set(pinned)
    assert "msgspec" in {line.partition("==")[0] for line in lines}


def test_make_downloads_them_for_both_pythons_and_bounds_their_size():
    if shutil.which("make") is None:
        pytest.skip("no make on PATH")
    plan = subprocess.run(["make", "--dry-run", "gpu-wheels"], cwd=ROOT, text=True,
                          capture_output=True, check=True).stdout
    assert "for version in 3.12 3.13" in plan
    assert "-r environments/gpu-wheels.txt" in plan
    assert f"{50 * 1024}" in plan
