"""One command for everything: each of its names is there once, explains itself, and ends with a documented code."""

import importlib

import pytest
from analysis_files import analysis
from running import ROOT, run_python

from eagerbench.cli import COMMANDS, PYTEST_COMMANDS


def test_every_name_stands_for_one_thing():
    modules = [module for module, _ in COMMANDS.values()]
    functions = [(module, function) for module, function, _ in PYTEST_COMMANDS.values()]
    assert not COMMANDS.keys() & PYTEST_COMMANDS.keys()
    assert len(set(modules)) == len(modules)
    assert len(set(functions)) == len(functions)
    for module, function in functions:
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help(capsys, name):
    code, out, _ = analysis(capsys, *name, "--help")
    assert code == 0
    assert f"usage: {' '.join(['eagerbench', *name])} " in out
    assert "Exit codes:\n  0  done" in out
    assert "`list-cases` are pytest's:\n  0  all passed" in out


def test_help_of_what_pytest_runs():
    ended = run_python("-m", "eagerbench", "run", "--help")
    assert ended.code == 0
    assert ended.out.startswith("usage: eagerbench run [options]")
    for said in ("  5  nothing ran", "--benchmark-json", "--sequence-lengths=N,N,…", "--deselect"):
        assert said in ended.out


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("list_cases",), ("busy", "--condition", "full moon")])
def test_wrong_usage(capsys, arguments):
    assert analysis(capsys, *arguments)[0] == 2


def test_programs_that_measure_the_machine(capsys):
    """The table of a file that is kept, and a table of no process."""
    code, out, _ = analysis(capsys, "busy", "--sessions", 0, "--json", ROOT / "docs" / "results" / "busy-machine.json")
    assert code == 0
    assert "quiet" in out
    code, out, _ = analysis(capsys, "noise", "--processes", 0)
    assert code == 0
    assert "every process failed" in out
