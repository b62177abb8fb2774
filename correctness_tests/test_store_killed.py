"""The artifact store beside other processes: those that use it, that prune it, and that are killed while writing."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from stores import DAY_S, ENVIRONMENT, called, filled, key, listed

from eagerbench import backends
from eagerbench.backends.artifacts import MANIFEST
from eagerbench.store import entries

USES = """
import sys, time
from pathlib import Path
from eagerbench.backends.artifacts import ArtifactStore
kept = ArtifactStore(Path(sys.argv[1]))
import json
content = json.loads(sys.argv[3])
artifact = kept.get(sys.argv[2], content, lambda directory: {})
print("used" if artifact.cached else "made", flush=True)
time.sleep(60)
"""


def test_an_artifact_in_use_stays_until_its_session_has_died(tmp_path, capsys):
    root = tmp_path / "variants"
    content = key()
    directory = filled(root, "a-torchscript", content, age_days=50)
    other = filled(root, "b-torchscript", content, age_days=1)
    with subprocess.Popen([sys.executable, "-c", USES, root, "a-torchscript", json.dumps(content)],
                          stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as user:
        try:
            assert user.stdout.readline() == "used\n"
            assert time.time() - entries.last_use(directory) < DAY_S  # it is used now, and was not for 50 days
            os.utime(directory / MANIFEST, (1, 1))  # a clock that jumped: it is in use all the same
            found = {one["place"]: one for one in listed(capsys, tmp_path, "--prune", "--keep", "0")["artifacts"]}
            assert found[f"variants/{directory.name}"]["used_by"] == "in use by a session"
            assert found[f"variants/{other.name}"]["removed"]
            assert directory.exists()
            assert "in use and kept: 1" in " ".join(called(capsys, "--artifacts", tmp_path, "--prune")[1].split())
        finally:
            user.send_signal(signal.SIGKILL)
    assert listed(capsys, tmp_path, "--prune", "--keep", "0")["artifacts"][0]["removed"]
    assert [file.name for file in root.iterdir()] == [".lock"]


WRITES = """
import json, sys
from pathlib import Path
from eagerbench.backends.artifacts import ArtifactStore
def write(directory):
    print("begun", flush=True)
    for number in range(8):
        (directory / f"part{number}").write_bytes(bytes([number]) * 1_000_000)
    return {"build_s": 1.0, "save_s": None}
for _ in range(1000):  # again and again in one place: the old one goes as the new one comes
    ArtifactStore(Path(sys.argv[1]), rebuild=True).get("a-torchscript", json.loads(sys.argv[2]), write)
"""


def test_a_killed_export_leaves_nothing_that_is_used(tmp_path, capsys):
    """SIGKILL at instants of writing, hashing and putting in place; then another process goes on."""
    chance, states, root = random.Random(20261128), [], tmp_path / "variants"
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITES, root, json.dumps(key())], env=ENVIRONMENT, text=True,
                              stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
        found = listed(capsys, tmp_path)["artifacts"]
        states += [(one["kind"], one["damage"], one["used_by"]) for one in found]
        assert len(found) <= 3  # the artifact, what was written and what it replaces: nothing of those killed before
    assert not any(damage for kind, damage, _ in states if kind == "artifact")
    assert {state for state in states if state[0] == "half"} == {
        ("half", "half written by a process that was killed", "")}
    assert any(state[0] == "artifact" for state in states)
    filled(root, "b-torchscript", key())  # the next writer clears up
    assert not list(root.glob(".partial-*"))
    assert not any(one["damage"] or one["used_by"] for one in listed(capsys, tmp_path)["artifacts"])


USERS = """
import json, sys, time
from pathlib import Path
from eagerbench.backends.artifacts import ArtifactStore
def write(directory):
    (directory / "model.pt").write_bytes(b"x" * 300_000)
    return {}
until, made, found = time.monotonic() + float(sys.argv[3]), 0, 0
while time.monotonic() < until or not (made and found):
    store = ArtifactStore(Path(sys.argv[1]))
    for _ in range(3):
        artifact = store.get("a-torchscript", json.loads(sys.argv[2]), write)
        made, found = made + (not artifact.cached), found + artifact.cached
        assert (artifact.directory / "model.pt").read_bytes() == b"x" * 300_000
"""


@pytest.mark.slow
def test_pruning_beside_sessions_takes_nothing_from_them(tmp_path, capsys):
    """Processes that build and load one artifact again and again, while it is pruned again and again."""
    arguments = [sys.executable, "-c", USERS, tmp_path / "variants", json.dumps(key()), "2"]
    users = [subprocess.Popen(arguments, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    removed = 0
    try:
        while any(user.poll() is None for user in users):
            removed += sum(one["removed"] for one in listed(capsys, tmp_path, "--prune", "--keep", "0")["artifacts"])
        assert [user.stderr.read() for user in users] == [""] * 3
        assert [user.returncode for user in users] == [0] * 3
    finally:
        for user in users:
            user.kill()
            user.communicate()
    assert removed
    assert not list((tmp_path / "variants").glob(".use-*"))


EXPORTS = """
import json, sys
from pathlib import Path
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Placement
from eagerbench.backends.building import build
from eagerbench.models import specs
from eagerbench.models.loading import load
from eagerbench.workloads import export_example
spec = specs.resolve("tiny-bert", 0)
model, example = load(spec), export_example(specs.resolve("tiny-bert", 0)).inputs(load(spec))
print("begun", flush=True)
while True:
    for variant in sys.argv[2].split():
        build(variant, model, example, Placement("cpu", 1), ArtifactStore(Path(sys.argv[1]), rebuild=True))
    if sys.argv[3] == "once":
        break
"""


@pytest.mark.slow
def test_a_killed_export_of_a_model_leaves_nothing_that_is_used(tmp_path, capsys):
    """SIGKILL at instants of real exports, one after another into one place; the last process exports to its end."""
    wanted = {name: backends.variants()[name] for name in ("torchscript", "onnxruntime")}
    names = [name for name, (variant, backend) in wanted.items() if backend.unavailable(variant, "cpu") is None]
    arguments = [sys.executable, "-c", EXPORTS, tmp_path / "variants", " ".join(names)]
    chance = random.Random(5)
    for _ in range(5):
        with subprocess.Popen([*arguments, "on"], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == "begun\n"
            time.sleep(chance.uniform(0, 2))
            process.kill()
        found = listed(capsys, tmp_path)["artifacts"]
        assert not any(one["damage"] for one in found if one["kind"] != "half"), found
        assert not any(one["used_by"] for one in found)
    subprocess.run([*arguments, "once"], env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    found = listed(capsys, tmp_path)["artifacts"]
    assert sorted((one["kind"], one["variant"]) for one in found) == [("artifact", name) for name in sorted(names)]
    assert not any(one["damage"] or one["stale"] or one["used_by"] for one in found)
    assert [file.name for file in (tmp_path / "variants").glob(".*")] == [".lock"]
