"""Which sessions have a supervisor, and by which command it runs them."""

import sys
from types import SimpleNamespace

import pytest
from _pytest.config import get_config

from eagerbench.fixtures import isolation
from eagerbench.isolation import supervisor


@pytest.mark.skipif(not supervisor.POSSIBLE, reason="sessions are supervised on Linux only")
@pytest.mark.parametrize("more", [("--benchmark-disable",), ("--collect-only",), ("--list-cases",), ("--no-isolation",),
                                  ("--pdb",), ("-n", "1"), ("--version",), ("--benchmark-skip",)])
def test_what_times_nothing_or_is_typed_into_has_no_supervisor(more, monkeypatch):
    """Asked of the options alone."""
    config = get_config()
    config.parse(["-p", "eagerbench.fixtures.plugin", *more])
    started = []
    monkeypatch.setattr(isolation, "_supervise", lambda *given: started.append(given))
    monkeypatch.setattr(isolation, "_is_called", lambda config: True)
    isolation.supervised(config)
    assert started == []


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
    assert isolation._is_called(config) is called


@pytest.mark.parametrize(("orig", "argv", "again"), [
    (["python", "/x/bin/pytest", "-q", "--resume=a.jsonl"], ["/x/bin/pytest", "-q", "--resume=a.jsonl"], "pytest -q"),
    (["/x/python", "-m", "pytest", "a b", "--resume", "newest", "-x"],
     ["/y/__main__.py", "a b", "--resume", "newest", "-x"], "/x/python -m pytest 'a b' -x"),
    (["/x/python", "/x/bin/eagerbench", "run", "--resume"], ["/x/bin/eagerbench", "run", "--resume"],
     "eagerbench run")])
def test_the_command_to_go_on_with(orig, argv, again, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig)
    assert isolation.again() == again
