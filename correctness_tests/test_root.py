"""Options that name a path elsewhere, in a clone; and other projects, which the plugin leaves alone."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from running import ROOT, WITHOUT_PLUGINS, own_environment
from transformers import BertConfig, BertModel

from eagerbench.fixtures import options, root

WITHOUT = tuple(word for name in ("cacheprovider", "hypothesispytest", "benchmark", "anyio", "xdist")
                for word in ("-p", f"no:{name}"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """A directory that looks like a project of the user's, with a model, sentences, and the entry points of ours."""
    place = tmp_path_factory.mktemp("elsewhere")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(config).save_pretrained(place / "my-model")
    (place / "setup.cfg").write_text("[tool:pytest]\naddopts = --no-such-option\n")
    (place / "sentences.txt").write_text("One sentence.\nAnother one.\n")
    plugins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    installed = place / "site" / "eagerbench-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: eagerbench\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(
        "[pytest11]\n" + "".join(f"{name} = {module}\n" for name, module in plugins.items()))
    return place


def started(elsewhere: Path, *arguments: object, cwd: Path = ROOT,
            program: tuple[str, ...] = ("-m", "pytest")) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(elsewhere / "site"), str(ROOT)])
    return subprocess.run([sys.executable, *program, *map(str, arguments), *WITHOUT_PLUGINS], cwd=cwd, text=True,
                          capture_output=True, env={**own_environment(), "PYTHONPATH": path}, check=False, timeout=200)


def test_two_words_for_a_model_in_a_directory(elsewhere):
    done = started(elsewhere, "--list-cases", "--model", elsewhere / "my-model", "--variant", "eager")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "my-model/eager/b8/s128/cpu" in done.stdout


def test_every_option_with_a_path(elsewhere):
    """A relative one from below the clone, and pytest's own option for where tests are."""
    artifacts = os.path.relpath(elsewhere / "artifacts", ROOT / "docs")
    done = started(elsewhere, ROOT / "perf_tests", "--benchmark-only", "--collect-only", "-q", "--model",
                   elsewhere / "my-model", "--corpus", elsewhere / "sentences.txt", "--artifacts", artifacts,
                   "--variant", "eager", "-k", "corpus", cwd=ROOT / "docs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "perf_tests/test_corpus.py::test_corpus[my-model-eager-corpus-b8-in-order-sentences-n2]" in done.stdout
    assert (elsewhere / "artifacts").is_dir()


def test_the_options_are_all_that_take_a_path():
    parser = pytest.Parser(_ispytest=True)
    options.add_options(parser)
    group = parser.getgroup("eagerbench")
    found = {option.names()[0] for option in group.options if option.attrs().get("metavar") in ("FILE", "DIR", "MODEL")}
    assert found == set(root.PATH_OPTIONS)


def test_another_project_has_its_own_root_and_options(elsewhere, tmp_path):
    """Also one that lies inside of a clone, and has an option of the same name."""
    inside = tmp_path / "clone" / "theirs"
    inside.mkdir(parents=True)
    for file in ("conftest.py", "pyproject.toml", "eagerbench/__init__.py", "fixtures/root.py"):
        (tmp_path / "clone" / file).parent.mkdir(exist_ok=True)
        (tmp_path / "clone" / file).touch()
    (inside / "pytest.ini").write_text("[pytest]\n")
    (inside / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--model')\n")
    (inside / "test_theirs.py").write_text("def test(pytestconfig):\n    assert pytestconfig.option.model == '..'\n"
                                           "    assert not hasattr(pytestconfig.option, 'variant')\n")
    done = started(elsewhere, "--model=..", *WITHOUT, cwd=inside)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rootdir: {inside}" in done.stdout
    assert root._clone(inside) is None
    assert root._clone(tmp_path / "clone" / "fixtures") == tmp_path / "clone"


def test_a_clone_runs_its_own_files(elsewhere, tmp_path):
    """Where the plugin was loaded from another copy, installed in the same environment."""
    for file, text in (("pyproject.toml", ""), ("eagerbench/__init__.py", "MINE = True\n"), ("fixtures/root.py", ""),
                       ("conftest.py", "import eagerbench\n"), ("test_it.py", "import eagerbench\n\n\ndef test():\n"
                                                                              "    assert eagerbench.MINE\n")):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    done = started(elsewhere, *WITHOUT, cwd=tmp_path,
                   program=("-P", "-c", "import pytest, sys; sys.exit(pytest.main())"))
    assert done.returncode == 0, done.stdout + done.stderr
