"""The artifact store: what is listed, and what is pruned."""

import pytest
from stores import MIB, called, filled, key, listed

from eagerbench.backends import building
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.machine import owned
from eagerbench.store import entries, in_use, limit, prune


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """A long temporary directory folds no cell."""
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def store(tmp_path):
    """Seven entries, oldest first: stale by version, stale by code, damaged, old, two good ones, and a peak."""
    root = tmp_path / "store"
    variants = root / "variants"
    old = key()
    filled(variants, "tiny-bert-torchscript", key(versions={**old["versions"], "torch": "1.0"}), age_days=50)
    filled(variants, "tiny-bert-torchscript", key(code="0"), age_days=40)
    damaged = filled(variants, "my-model-onnxruntime", key("onnxruntime"), age_days=30)
    (damaged / "model.pt").write_bytes(b"x")
    filled(variants, "tiny-bert-torchscript", old, age_days=20)
    filled(variants, "tiny-bert-weights", {"model": "m", "format": "safetensors",
                                           "transformers": building.version("transformers")}, age_days=2)
    filled(variants, "minilm-torchscript", key(model="n"), age_days=1, size=2 * MIB)
    filled(root / "memory", "minilm-torchscript", {"build": key(model="n"), "allocator": "system"}, size=0, age_days=1)
    return root


def test_what_is_there_is_listed(store, capsys):
    found = listed(capsys, store)
    by_age = sorted(found["artifacts"], key=lambda one: -one["days_since_use"])
    assert [(one["model"], one["variant"], one["kind"]) for one in by_age[:5]] == [
        ("tiny-bert", "torchscript", "artifact"), ("tiny-bert", "torchscript", "artifact"),
        ("my-model", "onnxruntime", "artifact"), ("tiny-bert", "torchscript", "artifact"),
        ("tiny-bert", "weights", "weights")]
    assert [round(one["days_since_use"]) for one in by_age] == [50, 40, 30, 20, 2, 1, 1]
    torch = building.version("torch")
    assert [one["stale"] for one in by_age] == [[f"torch 1.0, here {torch}"], ["the code of torchscript changed"],
                                                *[[]] * 5]
    assert [bool(one["damage"]) for one in by_age] == [False, False, True, *[False] * 4]
    assert found["mib"] == pytest.approx(6, abs=0.1)
    assert not any(one["used_by"] for one in by_age)
    code, out, err = called(capsys, "--artifacts", store)
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "1 stale: torch 1.0, here" in text
    assert "damaged: its files do not match their checksums" in text
    assert "20 days ago" in text
    assert not listed(capsys, store, "--unchecked")["artifacts"][1]["damage"]


@pytest.mark.parametrize(("options", "ages"), [
    ((), [30]), (("--stale",), [50, 40, 30]), (("--older-than", "10"), [50, 40, 30, 20]),
    (("--older-than", "1.5"), [50, 40, 30, 20, 2]), (("--keep", "4.5"), [50, 40, 30]),
    (("--keep", "0"), [50, 40, 30, 20, 2, 1, 1]), (("--stale", "--keep", "3.5"), [50, 40, 30, 20]),
    (("--keep", "100"), [30])])
def test_pruning_by_age_size_and_staleness(store, capsys, options, ages):
    before = listed(capsys, store)["artifacts"]
    planned = listed(capsys, store, "--prune", "--dry-run", *options)
    assert not any(one["removed"] for one in planned["artifacts"])
    assert [one["place"] for one in listed(capsys, store)["artifacts"]] == [one["place"] for one in before]
    done = listed(capsys, store, "--prune", *options)
    assert [one["why"] for one in done["artifacts"]] == [one["why"] for one in planned["artifacts"]]
    gone = sorted((round(one["days_since_use"]) for one in done["artifacts"] if one["removed"]), reverse=True)
    assert gone == ages
    left = {one["place"] for one in listed(capsys, store)["artifacts"]}
    assert left == {one["place"] for one in done["artifacts"] if not one["removed"]}
    assert {f"{file.parent.parent.name}/{file.parent.name}" for file in store.glob("*/*/manifest.json")} == left
    assert not list(store.rglob(".partial-*"))


def test_a_key_of_another_kind_is_no_damage(tmp_path, capsys):
    for number, content in enumerate(({"what": 1}, {"variant": ["x"]}, {"build": 3}, {"variant": "sdpa"})):
        filled(tmp_path / "variants", f"a-{number}", content)
    found = listed(capsys, tmp_path, "--prune", "--stale")["artifacts"]
    assert [(one["damage"], one["stale"], one["removed"]) for one in found] == [("", [], False)] * 4


def test_a_quantised_checkpoint_is_its_variants(tmp_path, capsys):
    filled(tmp_path / "variants", "minilm-dynamic-int8-checkpoint", {"format": "checkpoint", **key("dynamic-int8")})
    (found,) = listed(capsys, tmp_path)["artifacts"]
    assert (found["model"], found["variant"], found["damage"], found["stale"]) == ("minilm", "dynamic-int8", "", [])


def test_what_was_never_asked_for_stays(store, capsys):
    """Other directories, links and files in the store are not ours."""
    foreign = [store / "interrupted" / "x.json", store / "variants" / "notes.txt", store / "variants" / "mine" / "a"]
    for file in foreign:
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    outside = filled(store.parent / "elsewhere", "a-torchscript", key(), age_days=99)
    (store / "variants" / f"b-torchscript-{'0' * 16}").symlink_to(outside)
    listed(capsys, store, "--prune", "--keep", "0")
    assert all(file.exists() for file in foreign)
    assert (outside / "model.pt").exists()


@pytest.mark.parametrize(("arguments", "says"), [
    (("--stale",), "add --prune"), (("--dry-run",), "add --prune"), (("--prune", "--keep", "much"), "--keep much"),
    (("--prune", "--older-than", "-1"), "--older-than -1"), (("--artifacts", __file__), "no directory")])
def test_wrong_usage_is_one_line(capsys, arguments, says):
    code, out, err = called(capsys, *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert says in err


def test_an_empty_store(tmp_path, capsys):
    code, out, _ = called(capsys, "--artifacts", tmp_path / "none")
    assert (code, out) == (0, f"{tmp_path / 'none'}: no artifacts\n")
    assert listed(capsys, tmp_path, "--prune")["artifacts"] == []


def test_an_artifact_that_is_used_meanwhile_stays(tmp_path):
    content = key()
    directory = filled(tmp_path / "variants", "a-torchscript", content, age_days=50)
    (entry,) = entries.entries(tmp_path)
    user = ArtifactStore(directory.parent)
    assert user.get("a-torchscript", content, lambda directory: {}).cached
    assert prune.remove(entry) == "in use by now"
    assert directory.exists()
    del user
    (entry,) = entries.entries(tmp_path)
    assert prune.remove(entry) == ""
    assert not directory.exists()


def test_without_locks_what_was_used_lately_stays(tmp_path, monkeypatch, capsys):
    def unsupported(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(owned.fcntl, "flock", unsupported)
    filled(tmp_path / "variants", "a-torchscript", key(), age_days=0.5)
    filled(tmp_path / "variants", "b-torchscript", key(), age_days=1.5)
    found = listed(capsys, tmp_path, "--prune", "--keep", "0")["artifacts"]
    assert [one["removed"] for one in found] == [False, True]
    assert "where nothing can be locked" in found[0]["used_by"]


def test_what_cannot_be_removed_is_said(tmp_path, monkeypatch, capsys):
    filled(tmp_path / "variants", "a-torchscript", key(), age_days=2)

    def refused(directory):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(prune, "set_aside", refused)
    code, out, _ = called(capsys, "--artifacts", tmp_path, "--prune", "--keep", "0")
    assert code == 2
    assert "kept: cannot be removed: Permission denied" in " ".join(out.split())


def test_the_cache_of_compiled_code_is_one_entry(tmp_path, capsys):
    compiled = tmp_path / "inductor" / "ab"
    compiled.mkdir(parents=True)
    (compiled / "code.so").write_bytes(bytes(MIB))
    use = in_use.Use(tmp_path)
    use.note(in_use.COMPILED)
    (entry,) = listed(capsys, tmp_path, "--prune", "--keep", "0")["artifacts"]
    assert (entry["kind"], entry["used_by"], entry["removed"]) == ("compiled", "in use by a session", False)
    del use
    (entry,) = listed(capsys, tmp_path, "--prune", "--keep", "0")["artifacts"]
    assert entry["removed"]
    assert not (tmp_path / "inductor").exists()


def test_a_store_that_has_grown_is_told(store):
    assert limit.told(store, 6, "eagerbench") is None or "6" in limit.told(store, 6, "eagerbench")
    assert limit.told(store, 0, "eagerbench") is None
    assert limit.told(store, 7, "eagerbench") is None
    assert limit.told(store, 3, "eagerbench") == \
        "artifacts take 6 MiB (limit 3): eagerbench artifacts --prune --keep 3"
