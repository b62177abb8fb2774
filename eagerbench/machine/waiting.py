"""The wait policy: whether threads spin or sleep while they wait for one another.

Threads that spin hold a core that another thread needs: with one core taken by another process, eager's calls take
twelve times as long where they spin for as long as libgomp does by default (docs/busy-machine.md). Both sides of
every ratio get the same policy.
"""

import os
import sys
from typing import Any

from eagerbench.machine import wait_policy
from eagerbench.machine.wait_policy import ENVIRONMENTS, PASSIVE, VARIABLES

POLICIES = tuple(ENVIRONMENTS)


def configure(choice: str | None) -> str:
    """Set the policy for what is loaded later, in this process and in those that it starts; returns what is in effect.

    OpenMP's runtime reads the environment once, when torch loads it: after that, nothing is changed.

    Args:
        choice: one of POLICIES; None for the user's own variables where there are any, otherwise the default.
    """
    given = any(name in os.environ for name in VARIABLES)
    if "torch" not in sys.modules and (choice or not given):
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(ENVIRONMENTS[choice or wait_policy.DEFAULT])
    return in_effect()


def in_effect() -> str:
    """Of this process, from its environment."""
    return wait_policy.in_effect(os.environ)


def configure_onnxruntime(options: Any) -> None:
    """Give ONNX Runtime's `SessionOptions` the policy."""
    for entry, value in onnxruntime_entries().items():
        options.add_session_config_entry(entry, value)


def onnxruntime_entries() -> dict[str, str]:
    """The policy as ONNX Runtime's session configuration: its own threads spin for a while, unless they are told to
    sleep. https://onnxruntime.ai/docs/performance/tune-performance/threading.html
    """
    sleeps = os.environ.get("OMP_WAIT_POLICY", "").upper() == PASSIVE.upper()
    return {f"session.{pool}.allow_spinning": "0" if sleeps else "1" for pool in ("intra_op", "inter_op")}
