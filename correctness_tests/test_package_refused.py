"""`load.py` of a package refuses what cannot work, before it loads the model, and says in one line what is wrong."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import packages
import pytest
from packages import manifest_of, package


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("refused")


@pytest.fixture(scope="module")
def by_onnxruntime(root) -> Path:
    pytest.importorskip("onnxruntime")
    assert package("onnxruntime", packages.save_sentences(root / "embedder"), root / "onnx") == 0
    return root / "onnx"


@pytest.fixture(scope="module")
def empty(root, by_onnxruntime):
    return packages.environment(root / "environment", by_onnxruntime / "requirements.txt")


@pytest.fixture
def copied(by_onnxruntime, tmp_path) -> Path:
    return shutil.copytree(by_onnxruntime, tmp_path / "copy")


def changed(directory: Path, **fields) -> Path:
    """The package with other values in a topic of its manifest."""
    found = manifest_of(directory)
    for topic, values in fields.items():
        found[topic] = {**found[topic], **values}
    (directory / "manifest.json").write_text(json.dumps(found))
    return directory


def test_a_changed_file_is_refused(copied, empty):
    file = copied / "model" / "model.onnx"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    ended = packages.load(empty, copied, "--check")
    assert ended.code == 3
    assert ended.err == ("copy: model/model.onnx is not the file that was packed (its sha256 differs): unpack the "
                         "package again\n")


def test_a_missing_file_is_refused(copied, empty):
    (copied / "tokenizer.json").unlink()
    ended = packages.load(empty, copied, "--check")
    assert (ended.code, ended.out) == (3, "")
    assert "tokenizer.json is not the file that was packed" in ended.err


@pytest.mark.parametrize(("fields", "said"), [
    ({"packages": {"onnxruntime": "1.0.0"}}, "onnxruntime 1.0.0 is needed, "),
    ({"packages": {"nothing-of-the-kind": "2"}}, "nothing-of-the-kind 2 is needed, none is installed"),
    ({"needs": {"instruction_sets": [["avx", "asimd"], ["no_such_flag", "nor_this"]]}},
     "this processor has no no_such_flag or nor_this"),
    ({"needs": {"memory_bytes": 2**50}}, "1073741824 MiB of memory are needed, "),
    ({"needs": {"machine": "vax"}}, "compiled for vax, this machine is "),
    ({"needs": {"python": [9, 1]}}, "Python 9.1 or newer is needed")])
def test_what_cannot_work_is_said_before_the_model_is_loaded(copied, empty, fields, said):
    if "instruction_sets" in fields.get("needs", {}) and sys.platform != "linux":
        pytest.skip("only Linux says which instructions there are")
    ended = packages.load(empty, changed(copied, **fields), "--check")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith(f"copy: {said}")
    assert ended.err.count("\n") == 1


def test_other_outputs_fail_the_check(copied, empty):
    expected = np.load(copied / "check" / "expected" / "last_hidden_state.npy")
    np.save(copied / "check" / "expected" / "last_hidden_state.npy", expected + 0.01)
    rehashed(copied)
    ended = packages.load(empty, copied, "--check")
    assert ended.code == 1
    assert "last_hidden_state: DIFFERENT" in ended.out


def rehashed(directory: Path) -> None:
    from eagerbench.packaging.pack import _sha256

    found = manifest_of(directory)
    found["sha256"] = {name: _sha256(directory / name) for name in found["sha256"]}
    (directory / "manifest.json").write_text(json.dumps(found))
