"""What a duet is asked for: by the command line and by a file, of two models, and beside the time of their answers."""

import json
import subprocess
from argparse import Namespace

import pytest
from analysis_files import analysis, drawn, saved
from fake_suites import environment
from their_repository import PYPROJECT, eagerbench, write

from eagerbench import project
from eagerbench.gate import duet_quality, duet_request
from eagerbench.gate.duet_checkout import CannotCheckOut
from eagerbench.models import specs


def chosen(**given) -> Namespace:
    return Namespace(**{"base": None, "head": ".", "base_model": None, "head_model": None, "base_python": None,
                        "head_python": None, "selection": [], "design": None, "turns": None, "time_out": None, **given})


def test_what_is_asked_for(tmp_path, monkeypatch):
    write(tmp_path, {"pyproject.toml": PYPROJECT + 'batch-sizes = 8\ntests = "perf_tests"\nturns = 3\nstrict = true\n'})
    monkeypatch.chdir(tmp_path)
    asked = chosen(selection=["--variant", "sdpa", "--model", "a:b", "tests/test_x.py::test_y"], time_out=5.0)
    found = duet_request.complete(asked, 12)
    assert (asked.base, asked.turns, asked.time_out, asked.strict, asked.lenient) == ("HEAD", 3, 5.0, True, False)
    request = duet_request.read(asked, found)
    models, words = duet_request.without_models(request.selection)
    assert models == ["a:b"]
    assert duet_request.of_tests(words, found) == (
        ["tests/test_x.py::test_y"],
        ["--batch-sizes=8", "--sequence-lengths=16", "--threads=1", "--variant", "sdpa"])
    assert duet_request.of_tests(["--threads=1"], found)[0] == ["perf_tests"]
    write(tmp_path, {"pyproject.toml": PYPROJECT + 'design = "abab"\n'})
    with pytest.raises(CannotCheckOut, match="design is turns or abba"):
        duet_request.complete(chosen(), 12)


def test_two_models_are_one_benchmark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("parent", "tuned"):
        (tmp_path / name).mkdir()
    asked = chosen(base_model="./parent@layers=2", head_model="tuned")
    found = duet_request.read(asked, duet_request.complete(asked, 12)).of_side
    assert found == {"base": f"{tmp_path}/parent@layers=2,name=tuned", "null": f"{tmp_path}/parent@layers=2,name=tuned",
                     "head": f"{tmp_path}/tuned@name=tuned"}
    base, head = duet_request.sources(asked, tmp_path)
    assert base == head
    assert base.in_place
    factories = chosen(base_model="a.b:old", head_model="a.b:new@name=mine")
    assert duet_request.read(factories, project.find(tmp_path)).of_side["base"] == "a.b:old@name=mine"
    for wrong, says in (({"head_model": "tuned"}, "--base-model is missing"), ({}, "nothing to compare with")):
        with pytest.raises(CannotCheckOut, match=says):
            duet_request.sources(chosen(**wrong), tmp_path) if not wrong else duet_request.read(
                chosen(**wrong), project.find(tmp_path))


def test_quality_of_two_models_is_in_the_summary(monkeypatch, tmp_path, capsys):
    words = ["--threads=1", "--labels", "a.tsv", "--variant", "eager", "--retrieval=b.tsv"]
    labels, others = duet_quality.split(words)
    assert labels == ["--labels=a.tsv", "--retrieval=b.tsv"]
    assert others == ["--threads=1", "--variant", "eager"]
    entry = {"option": "--labels", "metric": "accuracy", "items": 1000, "base": 0.9, "head": 0.88, "lost": 30,
             "won": 10, "p": 0.0022, "loss": 0.02, "low": 0.008, "high": 0.032}
    asked = []

    def run(command, **_):
        asked.append(command[3:])
        return subprocess.CompletedProcess(command, 0, "a warning\n" + json.dumps([entry]), "")

    monkeypatch.setattr(duet_quality.subprocess, "run", run)
    found = duet_quality.compared({"base": "one", "head": "two"}, labels, words)
    assert asked == [["one", "two", *labels, "--threads=1"]]
    unknown = {"option": "--retrieval", "reason": "no"}
    file = saved(tmp_path, "screen.json", {**drawn(1, {}), "quality": [*found, unknown]})
    code, out, _ = analysis(capsys, "gate", file)
    said = " ".join(out.split())
    assert code == 0
    assert ("Quality by --labels: accuracy 0.880, base 0.900 of 1,000: -2.0 points (-3.2 to -0.8); 30 lost, 10 won, "
            "p 0.0022. Quality by --retrieval: not known (no).") in said
    monkeypatch.setattr(duet_quality.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(
        command, 1, "", "Traceback\nMemoryError: too large\n"))
    (lost,) = duet_quality.compared({"base": "one", "head": "two"}, labels[:1], words)
    assert lost["option"] == "--labels"
    assert "too large" in lost["reason"]


def test_a_model_may_have_another_name():
    spec = specs.resolve("minilm@layers=1,name=mine", 0)
    assert (spec.name, spec.layers) == ("mine@layers=1", 1)
    assert specs.resolve("tiny-bert@name=a.b-c", 0).name == "a.b-c"
    for wrong in ("tiny-bert@name=a/b", "tiny-bert@name=", "tiny-bert@name=-x"):
        with pytest.raises(specs.BadInput):
            specs.resolve(wrong, 0)


@pytest.mark.slow
def test_two_directories_of_one_model(tmp_path):
    """A tuned one against its parent: one benchmark, other weights noted, and what both answer."""
    from test_labelled_sessions import LABELS, save

    for name, names in (("parent", LABELS), ("tuned", {0: "positive", 1: "negative"})):
        save(tmp_path / name, "BertForSequenceClassification", id2label=names)
    write(tmp_path, {"labels.tsv": "".join(f"word{index} word1\tpositive\n" for index in range(30))})
    done = subprocess.run(
        eagerbench("duet", "--base-model", "parent", "--head-model", "./tuned", "--pairs", 1, "--null-pairs", 0,
                   "--turns", 1, "-o", "duet.json", "--", "--labels", "./labels.tsv", "--variant", "eager",
                   "--batch-sizes", "2", "--sequence-lengths", "8", "--threads", "1", "--time-budget", "0.05"),
        cwd=tmp_path, capture_output=True, text=True, check=False, env=environment(tmp_path / "tmp"), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((tmp_path / "duet.json").read_text())
    (pair,) = content["pairs"]
    assert "tuned/eager/b2/s8/cpu" in pair["benchmarks"]
    assert content["base"]["model"] == str(tmp_path / "parent")
    assert content["base"]["directory"] == content["head"]["directory"] == str(tmp_path)
    (answered,) = content["quality"]
    assert answered["base"] == pytest.approx(1 - answered["head"])
    assert "Quality by --labels: accuracy" in done.stdout
    code = subprocess.run(eagerbench("gate", "duet.json"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Quality by --labels: accuracy" in " ".join(code.stdout.split())
