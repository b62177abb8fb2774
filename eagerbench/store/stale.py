"""Why no session of this environment would use an artifact again, as far as its key says without the model."""

import importlib.metadata
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from eagerbench import backends
from eagerbench.backends import building


def reasons(key: Mapping[str, Any]) -> list[str]:
    """What of a key differs from this environment: code, options, versions, processor. Empty where nothing does.

    The model's own weights and code are not looked at: that would load it.

    Args:
        key: of a manifest; of a peak, with the key of its build in it.

    Raises:
        KeyError, TypeError, AttributeError: it is no key.
    """
    build = key.get("build", key)
    if build.get("format") == "safetensors":
        return _versions({"transformers": build["transformers"]})
    name = build["variant"]
    if name not in backends.variants():
        return [f"there is no variant {name} here"]
    changed = _versions(build["versions"])
    try:
        today = _today(name)
    except importlib.metadata.PackageNotFoundError:
        return changed
    if build["versions"].keys() != today["versions"].keys():
        changed.append("other packages count for it now")
    told = {"options": f"the options of {name} changed", "code": f"the code of {name} changed",
            "shared_code": "the code that builds changed", "cpu": "made on another processor"}
    return changed + [said for part, said in told.items() if build[part] != today[part]]


@cache
def _today(name: str) -> dict[str, Any]:
    return json.loads(json.dumps(building.without_model(*backends.variants()[name])))


def _versions(made_with: Mapping[str, str]) -> list[str]:
    return [f"{package} {version}, here {_installed(package) or 'not installed'}"
            for package, version in made_with.items() if version != _installed(package)]


@cache
def _installed(package: str) -> str | None:
    try:
        return building.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
