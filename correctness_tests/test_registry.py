"""A walk over the registry: nothing is in it without a probe, a negative test, a class, a reason and a row in docs."""

import platform
import re
import sys

import pytest
from running import ROOT, run_python

from eagerbench import backends
from eagerbench.backends.base import Backend
from eagerbench.outputs.tolerance import CLASSES

PAGE = ROOT / "docs" / "backends.md"
VARIANTS_TABLE = PAGE.read_text().split("| variant | what it is |")[1].split("\n\n")[0].splitlines()[2:]
DESCRIBED = [name for row in VARIANTS_TABLE for name in re.findall(r"`([a-z0-9_-]+)`", row.split("|")[1])]


@pytest.mark.parametrize("name", list(backends.variants()))
def test_every_variant_is_complete(name):
    variant, backend = backends.variants()[name]
    assert variant.tolerance in CLASSES
    for method in ("probe", "build_disengaged"):
        assert getattr(type(backend), method) is not getattr(Backend, method)
    reason = backend.unavailable(variant, "cpu")
    assert reason is None or len(reason) > 10
    assert backend.unavailable(variant, "tpu") is not None, "runs on a device that nobody has heard of"
    assert DESCRIBED.count(name) <= 1, f"{PAGE.name} describes `{name}` in {DESCRIBED.count(name)} rows of its table"
    if name not in DESCRIBED:
        pytest.skip(f"a backend of your own: before you share it, give `{name}` a row in docs/backends.md")


def test_no_package_no_variant():
    """Each backend that needs more than PyTorch says which package is missing and how to get it."""
    for _, backend in backends.variants().values():
        extra = set(backend.packages) - {"torch", "transformers"}
        assert not extra or backend.install, type(backend).__name__


def test_listing_imports_no_runtime():
    """Neither the registry nor the plan imports a backend's library; what was selected may be imported later.

    Not torch either, where the processor's flags can be read: it takes two seconds of every session.
    """
    extra = sorted({name for _, backend in backends.variants().values() for name in backend.packages})
    if sys.platform != "linux" or platform.machine() != "x86_64":
        extra.remove("torch")
    code = ("import sys; from eagerbench import backends; backends.variants(); "
            "assert 'torch' not in sys.modules; "
            "[backend.unavailable(v, 'cpu') for v, backend in backends.variants().values()]; "
            f"print([name for name in {extra} if name in sys.modules])")
    ended = run_python("-c", code)
    assert ended.code == 0, ended.err
    assert ended.out.strip() == "[]"


def test_rows_are_variants():
    assert set(DESCRIBED) <= set(backends.variants())
