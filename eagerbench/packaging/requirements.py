"""`requirements.txt`: what a package needs, pinned to the versions that it was measured with, and closed."""

import importlib.metadata
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from eagerbench.errors import CannotRun

# What `load.py` imports, by the runtime.
RUNTIMES = {
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "torchscript": ("torch",),
    "aot-inductor": ("torch",),
    "built": (),  # those of its recipe
}


def version(name: str) -> str:
    """Of an installed distribution, without the part that names a build (`+cpu`): an index of packages has none.

    Raises:
        CannotRun: it is not installed.
    """
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        raise CannotRun(f"{name} is not installed: pip install {name}") from None


def closed(names: Iterable[str]) -> dict[str, str]:
    """Version by name of the distributions and of all that they require here, sorted.

    Raises:
        CannotRun: one that is required is not installed.
    """
    found: dict[str, str] = {}
    due = [Requirement(name) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while due:
        wanted = due.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        found[key[0]] = version(wanted.name)
        for line in importlib.metadata.requires(wanted.name) or []:
            required = Requirement(line)
            extras = wanted.extras or {""}
            if required.marker is None or any(required.marker.evaluate({"extra": extra}) for extra in extras):
                due.append(required)
    return dict(sorted(found.items()))


def text(found: dict[str, str]) -> str:
    """The file: `pip install -r` it, with `--no-deps` too."""
    return "".join(f"{name}=={number}\n" for name, number in found.items())
