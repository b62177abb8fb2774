"""Stores of artifacts for tests, and `eagerbench artifacts` on them."""

import json
import os
import time
from pathlib import Path

from running import ROOT, own_environment

from eagerbench import backends, cli
from eagerbench.backends import building
from eagerbench.backends.artifacts import MANIFEST, ArtifactStore

DAY_S = 86400
MIB = 2**20
ENVIRONMENT = {**own_environment(), "PYTHONPATH": str(ROOT)}


def key(variant: str = "torchscript", **changed) -> dict:
    return {"model": "m", "inputs": [], **building.without_model(*backends.variants()[variant]), "device": "cpu",
            **changed}


def filled(root: Path, label: str, content: dict, size: int = MIB, age_days: float = 0) -> Path:
    """An entry that no session uses any more."""
    def write(directory):
        (directory / "model.pt").write_bytes(bytes(size))
        return {"build_s": 1.0, "save_s": None}

    directory = ArtifactStore(root).get(label, content, write).directory
    when = time.time() - age_days * DAY_S
    os.utime(directory / MANIFEST, (when, when))
    return directory


def called(capsys, *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["artifacts", *map(str, arguments)])
    return code, *capsys.readouterr()


def listed(capsys, store, *arguments: object) -> dict:
    code, out, _ = called(capsys, "--artifacts", store, "--json", *arguments)
    assert code == 0
    return json.loads(out)
