"""The pinned allocator: verified where it holds, and the verification can fail."""

import sys

import pytest
from running import run_python

PROGRAM = """
from eagerbench.machine import allocator
{before}
print(allocator.configure({choice!r}), allocator.second_touch_faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_pinned_keeps_a_freed_block():
    state, faults = run_python("-c", PROGRAM.format(before="", choice="pinned")).out.split()
    assert state == "pinned"
    assert int(faults) < 100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_system_gives_it_back():
    state, faults = run_python("-c", PROGRAM.format(before="", choice="system")).out.split()
    assert state == "system"
    assert int(faults) > 1000


def test_a_pin_without_effect_is_told():
    """mallopt answers 1, the block is mapped all the same: the record must not say `pinned`."""
    before = "allocator.SETTINGS = ((-4, 65536), (-3, 1024))"
    ended = run_python("-c", PROGRAM.format(before=before, choice="pinned"))
    assert ended.out.startswith("system (pin failed:"), ended.err


def test_pinning_after_torch_is_refused():
    ended = run_python("-c", PROGRAM.format(before="import torch", choice="pinned"))
    assert "before torch is imported" in ended.err
    assert "--allocator system" in ended.err
