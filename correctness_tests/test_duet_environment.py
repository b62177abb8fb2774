"""Sides whose packages differ: each runs in an environment of its own constraints."""

import subprocess
import sys
import threading
import time

import pytest

from eagerbench.gate import duet_environment
from eagerbench.gate.duet_checkout import CannotCheckOut
from eagerbench.gate.duet_environment import interpreter, packages

PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "eagerbench"
version = "0"
dependencies = ["iniconfig"]
[project.optional-dependencies]
all-cpu = []
test = []
[tool.setuptools]
py-modules = []
"""


def project(directory, constraints: str, text: str = PROJECT):
    (directory / "environments").mkdir(parents=True)
    (directory / "environments" / "main.txt").write_text(constraints)
    (directory / "pyproject.toml").write_text(text)
    return directory


def test_what_makes_packages_differ(tmp_path):
    here = project(tmp_path / "here", "iniconfig==2.1.0\n")
    other = PROJECT.replace("version = \"0\"", "version = \"1\"")
    told = project(tmp_path / "told", "# why\niniconfig==2.1.0  # because\n", other)
    pinned = project(tmp_path / "pinned", "iniconfig==2.0.0\n")
    more = project(tmp_path / "more", "iniconfig==2.1.0\n", PROJECT.replace("test = []", 'test = ["pytest"]'))
    assert packages(here) == packages(told)
    assert len({packages(directory) for directory in (here, pinned, more)}) == 3
    assert packages(project(tmp_path / "broken", "", "[project")) is packages(tmp_path) is None
    for same in (here, told, tmp_path / "broken"):
        assert interpreter("base", same, here) == sys.executable
    assert not (here / ".benchmarks").exists()


@pytest.mark.slow
def test_an_environment_is_made_once(tmp_path, capsys):
    here = project(tmp_path / "here", "iniconfig==2.1.0\n")
    before = project(tmp_path / "before", "iniconfig==2.0.0\n")
    python = interpreter("base", before, here)
    assert str(here / ".benchmarks" / "environments") in python
    code = "from importlib.metadata import version; print(version('iniconfig'))"
    installed = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert installed == ["2.0.0"]
    names = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "eagerbench" not in names  # the side's own directory is what it must import
    assert "base: its packages differ from those of this checkout" in capsys.readouterr().err
    assert interpreter("base", before, here) == python
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_packages_that_do_not_exist_are_one_line(tmp_path):
    here = project(tmp_path / "here", "iniconfig==2.1.0\n")
    wrong = project(tmp_path / "wrong", "iniconfig==0.0.0.1\n")
    for _ in range(2):  # what was begun is no environment
        with pytest.raises(CannotCheckOut, match=r"head: its packages cannot be installed .*--head-python") as error:
            interpreter("head", wrong, here)
        assert "\n" not in str(error.value)


def test_two_duets_make_one_environment(tmp_path, capsys, monkeypatch):
    """The second waits, and finds it made."""
    here = project(tmp_path / "here", "iniconfig==2.1.0\n")
    before = project(tmp_path / "before", "iniconfig==2.0.0\n")
    made, entered = [], threading.Event()

    def make(side, place, python, directory):
        made.append(side)
        entered.set()
        time.sleep(0.3)
        place.mkdir()
        (place / ".installed").touch()

    monkeypatch.setattr(duet_environment, "_make", make)
    first = threading.Thread(target=interpreter, args=("base", before, here))
    first.start()
    entered.wait(5)
    interpreter("head", before, here)
    first.join()
    assert made == ["base"]
    assert "head: waiting for another duet, which makes" in capsys.readouterr().err


def test_a_full_disk_says_what_to_do(tmp_path, monkeypatch):
    here = project(tmp_path / "here", "iniconfig==2.1.0\n")
    wrong = project(tmp_path / "wrong", "iniconfig==0.0.0.1\n")
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n\nWARNING: more"
    monkeypatch.setattr(duet_environment.subprocess, "run",
                        lambda *_, **__: subprocess.CompletedProcess([], 1, "", said))
    with pytest.raises(CannotCheckOut, match=r"\[Errno 28\] No space left on device.*variable TMPDIR$"):
        interpreter("head", wrong, here)
