"""Which sessions have a supervisor, and by which command it runs them."""

import sys
from types import SimpleNamespace

import pytest
from _pytest.config import get_config

from eagerbench.fixtures import isolation
from eagerbench.isolation import start, supervisor


@pytest.mark.skipif(not supervisor.POSSIBLE, reason="sessions are supervised on Linux only")
@pytest.mark.parametrize("more", [("--benchmark-disable",), ("--collect-only",), ("--list-cases",), ("--no-isolation",),
                                  ("--pdb",), ("-n", "1"), ("--version",), ("--benchmark-skip",)])
def test_what_times_nothing_or_is_typed_into_has_no_supervisor(more, monkeypatch):
    """Asked of the options alone."""
    config = get_config()
    config.parse(["-p", "eagerbench.fixtures.plugin", *more])
    started = []
    monkeypatch.setattr(start, "supervise", started.append)
    monkeypatch.setattr(isolation, "is_called", lambda config: True)
    isolation.supervised(config)
    assert started == []
    assert not start.surely_times(["--model", "minilm", *more])


@pytest.mark.skipif(not supervisor.POSSIBLE, reason="sessions are supervised on Linux only")
@pytest.mark.parametrize(("typed", "early"), [
    (["run", "test_latency.py", "--model", "minilm", "-k", "not compile", "-xvq", "--corpus=a.txt", "--resume"], True),
    (["run", "-kb8", "--config", "a"], True), (["run", "--case-timeout", "9"], False), (["run", "-xn2"], False),
    (["run", "--co"], False), (["run", "-h"], False), (["run", "-p", "no:x"], False), (["list-cases"], False)])
def test_a_run_is_supervised_before_anything_large_is_imported(typed, early, monkeypatch):
    """Where its words leave no doubt. Otherwise, and in a process that is called from another program, later."""
    started = []
    monkeypatch.setattr(start, "supervise", started.append)
    for name in start._ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["/x/bin/eagerbench", *typed])
    for other in ([], ["typed by nobody"]):
        if typed[0] == "run":
            start.supervise_early([*typed[1:], *other])
    assert started == [supervisor.START_S] * early
    monkeypatch.setenv(start.VARIABLE, "{}")
    start.supervise_early(typed[1:])
    assert len(started) == early


@pytest.mark.parametrize(("argv", "arguments", "called"), [
    (["/x/bin/pytest", "perf_tests", "-q"], ["perf_tests", "-q"], True),
    (["/x/site-packages/pytest/__main__.py", "perf_tests"], ["perf_tests"], True),
    (["/x/eagerbench/__main__.py", "run", "-q"], ["-c", "ini", "--benchmark-only", "-q"], True),
    (["/x/bin/eagerbench", "run"], ["-c", "ini", "--benchmark-only"], True),
    (["/x/bin/eagerbench", "noise"], ["-c", "ini"], False),
    (["/x/mine.py", "-q"], ["-q"], False), (["-c"], [], False), (["/x/bin/pytest", "-q"], ["-q", "--more"], False)])
def test_only_a_command_that_is_the_session_is_run_once_more(argv, arguments, called, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    config = SimpleNamespace(invocation_params=SimpleNamespace(args=arguments))
    assert isolation.is_called(config) is called


@pytest.mark.parametrize(("orig", "argv", "again"), [
    (["python", "/x/bin/pytest", "-q", "--resume=a.jsonl"], ["/x/bin/pytest", "-q", "--resume=a.jsonl"], "pytest -q"),
    (["/x/python", "-m", "pytest", "a b", "--resume", "newest", "-x"],
     ["/y/__main__.py", "a b", "--resume", "newest", "-x"], "/x/python -m pytest 'a b' -x"),
    (["/x/python", "/x/bin/eagerbench", "run", "--resume"], ["/x/bin/eagerbench", "run", "--resume"],
     "eagerbench run")])
def test_the_command_to_go_on_with(orig, argv, again, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig)
    assert start.again() == again
