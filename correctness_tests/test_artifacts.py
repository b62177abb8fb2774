"""Artifacts: complete or absent, verified, and the same bits in a process that only loads them."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from eagerbench import backends
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import ExportingBackend
from eagerbench.backends.building import build
from eagerbench.errors import CannotRun
from eagerbench.machine import room
from eagerbench.measuring.fresh_process import run_fresh


def test_fresh_process_gives_the_same_bits(workshops, variant_name):
    exports = isinstance(backends.variants()[variant_name][1], ExportingBackend)
    workshop = workshops("minilm" if exports else "tiny-bert")
    inputs = workshop.inputs(4, 32)
    built = workshop.built(variant_name)
    if built.backend.per_workload:  # the shared runner may have recompiled for dynamic shapes
        runner = built.backend.build(built.variant, workshop.model, inputs, workshop.placement)
    else:
        runner = built.runner
    native = runner.prepare(inputs)
    runner(native)
    here = runner.arrays(runner(native))
    run = run_fresh(variant_name, built.directory, workshop.model.spec, [inputs], workshop.placement)
    (there,), (peak,) = run.outputs, run.peaks
    assert all(np.array_equal(here[name], there[name]) for name in here)
    assert set(there) == set(here)
    assert 20 * 2**20 < peak < 4 * 2**30


@pytest.fixture
def export(workshops):
    """`export(store)`: build the exported variant of the tiny model in a store of its own."""
    workshop = workshops("tiny-bert")

    def export_into(store: ArtifactStore):
        return build("torchscript", workshop.model, workshop.example(), workshop.placement, store)

    return export_into


def test_second_build_comes_from_the_cache(export, tmp_path):
    store = ArtifactStore(tmp_path)
    first, second = export(store), export(ArtifactStore(tmp_path))
    assert (first.cached, second.cached) == (False, True)
    assert second.build_s == first.build_s


def test_rebuild_ignores_the_cache_once(export, tmp_path):
    export(ArtifactStore(tmp_path))
    store = ArtifactStore(tmp_path, rebuild=True)
    assert [export(store).cached, export(store).cached] == [False, True]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "deleted", "manifest", "extra"])
def test_damaged_artifact_is_built_again(export, tmp_path, damage):
    directory = export(ArtifactStore(tmp_path)).directory
    file = directory / "model.pt"
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[:1000])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "deleted":
        file.unlink()
    elif damage == "manifest":
        (directory / "manifest.json").write_text("{")
    else:
        (directory / "left-over").write_text("x")
    again = export(ArtifactStore(tmp_path))
    assert not again.cached
    assert export(ArtifactStore(tmp_path)).cached


def test_failed_write_leaves_nothing(tmp_path):
    def write(directory):
        (directory / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        ArtifactStore(tmp_path / "store").get("a", {}, write)
    assert list((tmp_path / "store").iterdir()) == []


def test_no_space_says_so_and_leaves_nothing(workshops, tmp_path):
    """A real full file system: a tmpfs of 64 KiB."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None or not sys.platform.startswith("linux"):
        pytest.skip("mounting a small tmpfs needs root on Linux")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("this kernel refuses to mount a tmpfs here")
    workshop = workshops("tiny-bert")
    try:
        for variant in ("torchscript", "onnxruntime"):
            if backends.variants()[variant][1].unavailable(backends.variants()[variant][0], "cpu"):
                continue  # torchscript at least is always there
            with pytest.raises(CannotRun, match=r"no space left for artifacts in .*--artifacts"):
                build(variant, workshop.model, workshop.example(), workshop.placement,
                      ArtifactStore(tmp_path))
            assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize(("number", "name", "says"), [
    (errno.ENOSPC, "{tmp}/x", "no space left for temporary files in {tmp}; .*TMPDIR"),
    (errno.EROFS, "{tmp}/x", "cannot write temporary files in {tmp} .Read-only file system.; .*TMPDIR"),
    (errno.EACCES, "{tmp}/store/x", "cannot write artifacts in {tmp}/store .Permission denied.; .*--artifacts"),
    (errno.ENOSPC, "{tmp}/store/x", "no space left for artifacts in {tmp}/store; .*--artifacts"),
    (errno.EACCES, "/elsewhere/x", None), (errno.ENOENT, "{tmp}/x", None)])
def test_the_place_that_is_full_is_named(tmp_path, monkeypatch, number, name, says):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    error = OSError(number, os.strerror(number), name.format(tmp=tmp_path))
    wrapped = RuntimeError("export failed")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        found = room.reason(one, tmp_path / "store")
        assert re.match(says.format(tmp=tmp_path), found) if says else found is None


def test_a_full_temporary_directory_is_not_blamed_on_the_artifacts(tmp_path, monkeypatch):
    """An error without a file's name, as a write to a real full file system gives it."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", scratch], check=False,
                                      capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        with tempfile.TemporaryFile(buffering=0) as file, pytest.raises(OSError, match="No space") as error:
            os.posix_fallocate(file.fileno(), 0, 2**20)
        said = room.reason(error.value, tmp_path)
        assert said.startswith(f"no space left for temporary files in {scratch};")
    finally:
        subprocess.run(["umount", scratch], check=True)


def test_other_weights_have_another_artifact(workshops, tmp_path):
    from eagerbench.models import specs
    from eagerbench.models.loading import load

    first, other = load(specs.resolve("tiny-bert", 0)), load(specs.resolve("tiny-bert", 1))
    assert first.fingerprint != other.fingerprint
    assert first.fingerprint == load(specs.resolve("tiny-bert", 0)).fingerprint
