"""A plugin of test sessions (`-p faulty_plugin`): the variant `faulty`, second in the registry."""

import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main() -> None:
    """Before the plan; what is imported earlier may be another copy of the project (fixtures/root.py)."""
    import faulty_backend

    from eagerbench import backends

    sys.modules[f"{backends.__name__}.faulty_backend"] = faulty_backend
    backends.REGISTRY = ("eager", "faulty_backend", *backends.REGISTRY[1:])
