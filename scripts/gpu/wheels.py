"""Wheels for an interpreter that can install nothing: `make gpu-wheels` downloads them, a GPU machine unpacks those
that its interpreter lacks, and the steps find them on PYTHONPATH."""

import importlib.metadata
import os
import sys
import zipfile
from pathlib import Path

DIRECTORY = ".gpu-wheels"


def environment(root: Path) -> dict[str, str]:
    """Of the steps: this project and the unpacked wheels, behind what the interpreter has itself."""
    places = [str(root), *filter(None, [os.environ.get("PYTHONPATH")]), *unpacked(root / DIRECTORY)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)), "HF_HUB_OFFLINE": "1"}


def unpacked(directory: Path) -> list[str]:
    """The directory of what this interpreter lacks, unpacked once; nothing when it lacks nothing."""
    wanted = lacking(directory)
    if not wanted:
        return []
    place = directory / f"site-{sys.implementation.cache_tag}"
    for wheel in wanted:
        mark = place / f".{wheel.name}"
        if not mark.exists():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place)
            mark.touch()
    return [str(place)]


def lacking(directory: Path) -> list[Path]:
    """The newest wheel of each distribution that fits this interpreter and is not installed."""
    from packaging.tags import sys_tags
    from packaging.utils import parse_wheel_filename

    tags, found = set(sys_tags()), {}
    for wheel in sorted(directory.glob("*.whl")):
        name, version, _, fitting = parse_wheel_filename(wheel.name)
        if tags & fitting and not _installed(name) and (name not in found or version > found[name][0]):
            found[name] = version, wheel
    return [wheel for _, wheel in found.values()]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
