"""Saved files of models that changed: other weights or inputs, other code or configuration."""

import pytest
from analysis_files import analysis
from saved_runs import NAMES, compared, runs, status


def test_other_weights_under_one_name_are_not_judged(tmp_path, capsys):
    """In every tier: a fast new model would pass for an improvement, a slow one for a regression."""
    before, after = ({name: {"model_fingerprint": weights if name == "b1" else "a", "dtype": "float32"}
                      for name in NAMES} for weights in ("a", "b"))
    old = runs(tmp_path, "old", 8, 1, records=before)
    new = runs(tmp_path, "new", 8, 2, {"b1": 0.5}, minute=5, records=after)
    found = compared(old, new)
    assert (found["tier"], found["outcome"], found["exit_code"]) == (2, "OK", 0)
    assert status(found) == {**dict.fromkeys(NAMES, "OK"), "b1": "NOT JUDGED"}
    assert list(found["changed"]) == ["b1"]
    assert found["changed"]["b1"].startswith("another benchmark of this name: weights or model code (")
    code, out, _ = analysis(capsys, "compare", old[0], new[0])
    assert code == 0
    assert "weights or model code" in " ".join(out.split())
    everywhere = {name: {"model_fingerprint": "c"} for name in NAMES}
    other = runs(tmp_path, "other", 1, 3, records=everywhere)
    assert analysis(capsys, "compare", old[0], *other)[0] == 3


def of_model(weights="w", code="c", config="f", **more):
    record = {"weights_sha256": weights, "code_sha256": code, "config_sha256": config, **more,
              "model_fingerprint": weights + code + config, "tolerance_class": "exact-math"}
    return {name: record for name in NAMES}  # noqa: C420


@pytest.mark.parametrize(("after", "said"), [
    ({"code": "d"}, "model code changed"), ({"config": "g"}, "model configuration changed"),
    ({"code": "d", "config": "g"}, "model code and model configuration changed")])
def test_changed_model_code_with_equal_weights_is_judged_and_said(tmp_path, capsys, after, said):
    old = runs(tmp_path, "old", 8, 1, records=of_model())
    new = runs(tmp_path, "new", 8, 2, {"b1": 0.1}, minute=5, records=of_model(**after))
    found = compared(old, new)
    assert (found["tier"], found["exit_code"], found["changed"]) == (2, 1, {})
    assert status(found)["b1"] == "REGRESSED"
    assert found["noted"] == dict.fromkeys(NAMES, said)
    code, out, _ = analysis(capsys, "compare", *old, "--with", *new)
    assert code == 1
    assert said in " ".join(out.split())


@pytest.mark.parametrize(("after", "why"), [
    ({"weights": "v", "code": "d"}, "weights changed"), ({"dtype": "bfloat16"}, "dtype changed"),
    ({"seed": 1}, "seed changed"), ({"inputs": "random"}, "inputs changed"),
    ({"corpus_sha256": "e"}, "corpus changed")])
def test_changed_weights_or_inputs_are_another_benchmark(tmp_path, after, why):
    same = {"dtype": "float32", "seed": 0, "inputs": "text", "corpus_sha256": "a"}
    found = compared(runs(tmp_path, "old", 1, 1, records=of_model(**same)),
                     runs(tmp_path, "new", 1, 2, records=of_model(**{**same, **after})))
    assert found["changed"] == dict.fromkeys(NAMES, f"another benchmark of this name: {why}")
    assert (found["noted"], found["outcome"]) == ({}, "NOT COMPARABLE")


@pytest.mark.parametrize("newer", [{"model_fingerprint": "b"}, of_model()["b0"]])
def test_files_from_before_weights_and_code_were_kept_apart(tmp_path, newer):
    before = {name: {"model_fingerprint": "a"} for name in NAMES}
    old = runs(tmp_path, "old", 1, 1, records=before)
    new = runs(tmp_path, "new", 1, 2, records={name: newer for name in NAMES})  # noqa: C420
    found = compared(old, new)
    assert all("weights or model code" in reason for reason in found["changed"].values())
    assert found["outcome"] == "NOT COMPARABLE"
    same = runs(tmp_path, "same", 1, 2, records=before)
    assert compared(old, same)["changed"] == {}
