"""How threads wait: what OpenMP's runtime and ONNX Runtime are really told."""

import os

import pytest
from running import run_python

from eagerbench.machine import waiting
from eagerbench.machine.wait_policy import ENVIRONMENTS, VARIABLES, in_effect

PROGRAM = "from eagerbench.machine import waiting\nprint(waiting.configure({choice!r}))\nimport torch"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """As before this session set its own policy."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def libgomp(monkeypatch, choice: str | None) -> tuple[str, str]:
    """What is in effect, and what OpenMP's runtime prints of itself when torch loads it."""
    monkeypatch.setenv("OMP_DISPLAY_ENV", "VERBOSE")
    ended = run_python("-c", PROGRAM.format(choice=choice))
    assert ended.code == 0, ended.err
    if "OPENMP DISPLAY ENVIRONMENT" not in ended.err:
        pytest.skip("this torch has no OpenMP runtime that prints its environment")
    return ended.out.strip(), ended.err


@pytest.mark.parametrize(("choice", "spins"), [(None, "50000"),
                                              pytest.param("passive", "0", marks=pytest.mark.slow)])
def test_policy_is_in_time_for_openmp(monkeypatch, choice, spins):
    policy, printed = libgomp(monkeypatch, choice)
    assert policy == (choice or "brief")
    assert f"GOMP_SPINCOUNT = '{spins}'" in printed


def test_own_variables_of_the_user_count_unless_a_policy_is_named(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    assert waiting.configure(None) == "own (GOMP_SPINCOUNT=77)"
    monkeypatch.setattr(waiting, "sys", type("Unimported", (), {"modules": {}}))
    assert waiting.configure("active") == "active"
    assert "GOMP_SPINCOUNT" not in os.environ


def test_after_torch_nothing_changes(monkeypatch):
    monkeypatch.setattr(waiting, "sys", type("Imported", (), {"modules": {"torch": None}}))
    assert waiting.configure("passive") == "active"
    assert not set(VARIABLES) & set(os.environ)


@pytest.mark.parametrize("policy", ENVIRONMENTS)
def test_processes_that_are_started_have_the_policy_too(policy):
    assert in_effect({"PATH": "/bin", **ENVIRONMENTS[policy]}) == policy


@pytest.mark.parametrize(("policy", "spins"), [("brief", "1"), ("active", "1"), ("passive", "0")])
def test_onnxruntime_spins_as_the_policy_says(monkeypatch, policy, spins):
    onnxruntime = pytest.importorskip("onnxruntime")
    for name, value in ENVIRONMENTS[policy].items():
        monkeypatch.setenv(name, value)
    options = onnxruntime.SessionOptions()
    waiting.configure_onnxruntime(options)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == spins
