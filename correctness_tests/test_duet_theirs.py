"""Duets of a repository of the user's own: whose code runs, whose commits are recorded, and what cannot be compared."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from analysis_files import analysis, drawn, saved
from fake_suites import environment, left_of
from running import ROOT
from their_repository import MODELS, PYPROJECT, commit, eagerbench, git, repository, write

from eagerbench import project
from eagerbench.fixtures import isolation
from eagerbench.gate import duet_checkout, duet_parts, duet_theirs, judge
from eagerbench.gate.duet_checkout import CannotCheckOut
from eagerbench.gate.duet_side import Checkout
from eagerbench.results import older


def sides(base: Path, head: Path, cwd: Path | None = None, copied: bool = True, python: str = sys.executable, **asked):
    places = {name: Checkout(name, directory, python) for name, directory in (("base", base), ("head", head),
                                                                              ("null", base))}
    found = project.find(cwd or head)
    wanted = {"models": ("my_package.models:build",), "tests": (), "of_side": {}, "environments": frozenset(), **asked}
    return duet_theirs.sides(places, duet_theirs.Theirs(found, **wanted), cwd or head, copied)


def refused(*arguments, **asked) -> str:
    with pytest.raises(CannotCheckOut) as error:
        sides(*arguments, **asked)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return repository(tmp_path_factory.mktemp("theirs"))


@pytest.mark.parametrize("package", ["src/my_package", "my_package", "python/my_package"])
def test_each_side_has_its_own_code_first(tmp_path, package):
    one, two = (repository(tmp_path / name, package) for name in ("one", "two"))
    for directory in (one, two):
        table = PYPROJECT.replace("threads", 'pythonpath = [".", "src", "python"]\nthreads')
        write(directory, {"pyproject.toml": table})
    found = sides(one, two)
    for name, directory in (("base", one), ("head", two), ("null", one)):
        words = found[name].words(["--threads=1"])
        assert words[-2:] == ["--threads=1", "--model=my_package.models:build"]
        roots = words[4].split(":")
        assert str((directory / package).parent) in roots
        assert all(Path(root).is_relative_to(directory) for root in roots)


FINDER = '''
import importlib.util, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "my_package":
            return importlib.util.spec_from_file_location(name, {file!r})
sys.meta_path.{how}
sys.path.append({parent!r})
'''


@pytest.mark.parametrize(("how", "wins"), [("append(Finder())", True), ("insert(0, Finder())", False)])
def test_an_installed_copy_never_runs_in_silence(theirs, tmp_path, monkeypatch, how, wins):
    """Editable installs put a finder behind the others, or in front of them: that one is found out."""
    copy = write(tmp_path / "installed", {"my_package/__init__.py": "", "my_package/models.py": MODELS})
    write(tmp_path / "site", {"sitecustomize.py": FINDER.format(
        file=str(copy / "my_package" / "__init__.py"), how=how, parent=str(copy))})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    if wins:
        assert sides(theirs, theirs)
    else:
        line = refused(theirs, theirs)
        assert f"base: my_package would be imported from {copy}" in line
        assert "pip uninstall" in line


def test_code_that_is_the_same_on_both_sides_is_refused(theirs):
    line = refused(theirs, theirs, models=("numpy.linalg:norm",))
    assert "numpy is not in this repository" in line
    assert "--base-python" in line
    both = frozenset({"base", "head"})
    assert sides(theirs, theirs, models=("numpy.linalg:norm",), environments=both)
    assert "there is no package nowhere" in refused(theirs, theirs, models=("nowhere:build",))
    assert "nothing of this repository would be measured" in refused(theirs, theirs, models=())


def test_an_interpreter_that_cannot_run_the_suite(theirs, tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    line = refused(theirs, theirs, python=str(bare / "bin" / "python"))
    assert "lacks" in line
    assert "pytest_benchmark" in line
    assert "install eagerbench there" in line
    assert "cannot start the suite" in refused(theirs, theirs, python=str(tmp_path / "no-python"))
    assert "cannot start the suite" in refused(theirs, theirs, python="/bin/false")


def test_other_dependencies_are_said(tmp_path, capsys):
    one, two = (repository(tmp_path / name) for name in ("one", "two"))
    sides(one, two)
    assert capsys.readouterr().err == ""
    write(two, {"pyproject.toml": PYPROJECT.replace('version = "0"', 'version = "1"\ndependencies = ["torch>=2.12"]')})
    sides(one, two)
    assert "base and head need different packages" in capsys.readouterr().err
    sides(one, two, environments=frozenset({"base", "head"}))
    assert capsys.readouterr().err == ""


def test_weights_in_the_repository_are_each_sides_own(tmp_path, capsys):
    one, two = (repository(tmp_path / name) for name in ("one", "two"))
    for directory in (one, two):
        write(directory, {"weights/config.json": "{}"})
    write(two, {"new/config.json": "{}"})
    write(tmp_path / "here", {"ignored/config.json": "{}"})
    found = sides(one, two, tmp_path / "here", models=("./weights", "./new", "./ignored@name=it", "minilm"))
    shared = f"--model={tmp_path / 'here' / 'ignored'}@name=it"
    assert found["base"].models == ("--model=./weights", "--model=minilm", shared)
    assert found["head"].models == ("--model=./weights", "--model=./new", "--model=minilm", shared)
    assert capsys.readouterr().err.count("git does not track it") == 1
    assert "no such directory" in refused(one, two, models=("./nowhere",))
    assert "base: it has none of the models" in refused(one, two, models=("./new",))
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    write(two, {"weights/model.safetensors": pointer})
    line = refused(one, two, models=("./weights",))
    assert "head: --model ./weights: model.safetensors is a pointer of Git LFS" in line
    sides(one, two)
    assert "head: 1 file of Git LFS not there" in capsys.readouterr().err  # of a model that is not measured


def test_a_worktree_has_its_submodules(tmp_path, capsys):
    inner = write(tmp_path / "inner", {"code.py": "x = 1\n"})
    git(inner, "init", "-q", "-b", "main")
    commit(inner, "inner")
    outer = repository(tmp_path / "outer")
    git(outer, "submodule", "--quiet", "add", str(inner), "libs/inner")
    first = commit(outer, "with a submodule")
    source = duet_checkout.resolve("--base", "HEAD", outer)
    here = duet_checkout.resolve("--head", str(outer), outer)
    with duet_checkout.checked_out({"base": source, "head": here}) as (_, places):
        for place in places.values():
            assert (place / "libs" / "inner" / "code.py").read_text() == "x = 1\n"
            assert list(duet_parts.lacking("base", place)) == []
    assert source.revision == first
    subprocess.run(["git", "clone", "-q", str(outer), str(tmp_path / "clone")], check=True)
    source = duet_checkout.resolve("--base", "HEAD", tmp_path / "clone")
    with duet_checkout.checked_out({"base": source}) as (_, places):
        (line,) = duet_parts.lacking("base", places["base"])
    assert "1 submodule empty, such as libs/inner: type git submodule update --init" in line


def test_a_project_below_the_top_of_its_repository(tmp_path):
    top = tmp_path / "top"
    write(top, {"README": "", "services/theirs/setup.py": ""})
    git(top, "init", "-q", "-b", "main")
    first = commit(top, "first")
    write(top, {"later/theirs/setup.py": "", "common.py": ""})
    for text, below in ((first, "services/theirs"), (".", "services/theirs")):
        cwd = top / "services" / "theirs"
        source = duet_checkout.resolve("--base", text if text != "." else str(cwd), cwd)
        with duet_checkout.checked_out({"base": source}) as (_, places):
            assert (places["base"] / "setup.py").exists()
            assert places["base"].parts[-2:] == tuple(below.split("/"))
            assert ((places["base"].parents[1] / "common.py").exists()) == (text == ".")
    source = duet_checkout.resolve("--base", first, top / "later" / "theirs")
    with pytest.raises(CannotCheckOut, match="has no directory later/theirs"), \
            duet_checkout.checked_out({"base": source}):
        pass


def test_other_weights_of_the_users_model_are_judged(tmp_path, capsys):
    """Between two commits of a repository of theirs; of another suite's benchmark they are another benchmark."""
    duet = drawn(1, {"b1": 0.08}, benches=2)
    for side, weights in (("base", "a"), ("head", "b")):
        duet[side]["models"] = {"b1": {"weights_sha256": weights, "model_fingerprint": weights}}
    assert "b1" in judge.judge([duet])["changed"]
    theirs = {**duet, "suite": {"version": "1"}}
    verdict = judge.judge([theirs])
    assert verdict["changed"] == {}
    assert verdict["noted"] == {"b1": "weights changed"}
    assert verdict["outcome"] == "SUSPECT"
    files = [saved(tmp_path, "a.json", theirs),
             saved(tmp_path, "b.json", {**theirs, "seed": 5, "stage": "confirm", "suite": {"version": "2"}})]
    code, _, err = analysis(capsys, "gate", *files)
    assert code == 2
    assert "another version of eagerbench" in err


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One pair of two commits, by the perf tests of the repository."""
    directory = repository(tmp_path_factory.mktemp("measured"))
    base = git(directory, "rev-parse", "HEAD")
    write(directory, {"src/my_package/models.py": MODELS.replace("Bag(2)", "Bag(3)")})
    head = commit(directory, "one layer more")
    scratch = tmp_path_factory.mktemp("scratch")
    clean = {name: value for name, value in environment(scratch).items() if name != "EAGERBENCH_ARTIFACTS"}
    done = subprocess.run(
        eagerbench("duet", "--base", "HEAD~1", "--head", "HEAD", "--pairs", 1, "--null-pairs", 0, "--turns", 1, "-o",
                   "duet.json", "--", "perf_tests/test_mine.py", "--time-budget", "0.05"),
        cwd=directory, capture_output=True, text=True, check=False, env=clean, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert left_of(scratch) == []
    return directory, base, head, done, json.loads((directory / "duet.json").read_text())


def test_a_duet_of_their_commits(measured):
    directory, base, head, done, content = measured
    assert (content["base"]["revision"], content["head"]["revision"]) == (base, head)
    assert content["suite"]["version"]
    assert content["suite"].get("revision") not in (base, head)
    assert "from pyproject.toml [tool.eagerbench]: variant eager" in done.stderr
    model = "my_package.models.build/eager/b4/s16/cpu"
    for pair in content["pairs"]:
        assert (pair["valid"], pair["failed"]) == (True, {}), pair
        assert set(pair["benchmarks"]) == {"control/matmul", "control/copy", model, "my_package/sum"}
    before, after = (content[side]["models"][model] for side in ("base", "head"))
    assert before["code_sha256"] != after["code_sha256"]
    verdict = judge.judge([content])
    assert verdict["changed"] == {}
    assert verdict["noted"] == {model: "weights and model code and model configuration changed"}
    assert git(directory, "status", "--porcelain") == "?? duet.json"  # all else that was made is theirs to ignore
    assert git(directory, "worktree", "list").count("\n") == 0


def plain_pytest(directory, *arguments):
    done = subprocess.run([sys.executable, "-m", "pytest", "--benchmark-only", "-q", *arguments], cwd=directory,
                          capture_output=True, text=True, check=False, timeout=300,
                          env={**environment(directory / "tmp"), "PYTHONPATH": f"{ROOT}:{directory / 'src'}"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_their_perf_tests_are_collected_by_plain_pytest(theirs):
    said = plain_pytest(theirs, "--collect-only")
    assert "perf_tests/test_mine.py::test_classifier[my_package.models.build-eager-b4-s16]" in said
    assert "perf_tests/test_mine.py::test_sum" in said


@pytest.mark.slow
def test_their_perf_tests_by_plain_pytest(theirs):
    plain_pytest(theirs, "--time-budget=0.1", "--benchmark-json", "run.json")
    found = json.loads((theirs / "run.json").read_text())["benchmarks"]
    assert {bench["name"].partition("[")[0] for bench in found} == {"test_classifier", "test_sum"}
    names = {older.flat(bench["extra_info"])["bench_id"] for bench in found}
    assert names == {"my_package.models.build/eager/b4/s16/cpu", "my_package/sum"}
    assert all(bench["extra_info"].get("speedup", 1) > 0 for bench in found)


def test_sessions_of_other_tests_have_no_supervisor_and_no_journal(tmp_path):
    """The plugin may be loaded in every session of theirs; it minds those that are for benchmarks."""
    def config(root, only):
        return SimpleNamespace(rootpath=root, option=SimpleNamespace(benchmark_only=only))

    assert isolation._other_tests(config(tmp_path, False))
    assert not isolation._other_tests(config(tmp_path, True))
    assert not isolation._other_tests(config(ROOT, False))


def test_the_places_of_a_side_are_data():
    place = Checkout("base", Path("/x"), "python")
    assert place.words(["a"]) == ["python", "-m", "pytest", "-p", "no:cacheprovider", "a"]
    assert dataclasses.replace(place, command=("-c",), models=("b",)).words(["a"]) == ["python", "-c", "a", "b"]
