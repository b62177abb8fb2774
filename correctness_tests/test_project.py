"""`[tool.eagerbench]` in the pyproject.toml of a repository of the user's own."""

from types import SimpleNamespace

import pytest
from analysis_files import analysis
from running import ROOT, run_python

from eagerbench import project
from eagerbench.errors import BadInput
from eagerbench.fixtures import from_file, options
from eagerbench.measuring.partner import VARIABLE

SAVED = ROOT / "correctness_tests" / "data" / "session.json"
EVERYTHING = '''
[project]
name = "theirs"

[tool.eagerbench]
model = ["my_package.models:build", "./weights"]
variant = "onnx*"
batch-sizes = [1, 8]
sequence-lengths = 128
time-budget = 0.5
pythonpath = ["python", "."]

[tool.eagerbench.budget]
max-error = 0.05
objective = "memory"

[tool.eagerbench.gate]
base = "origin/main"
batch-sizes = 4
turns = 6
lenient = true
tests = "perf_tests"
'''
# Options of one session, or of what it writes: they are typed.
TYPED = {"resume", "rebuild", "no-isolation", "list-cases", "report", "no-report", "summary-md", "shard", "shard-times"}


def written(directory, text: str):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(text)
    return directory


def test_everything_that_can_be_said(tmp_path, monkeypatch):
    found = project.find(written(tmp_path, EVERYTHING))
    assert found.options["batch-sizes"] == ("1,8",)
    assert project.words(found.options)[-3:] == ["--batch-sizes=1,8", "--sequence-lengths=128", "--time-budget=0.5"]
    assert found.options["model"] == ("my_package.models:build", str(tmp_path / "weights"))
    assert found.gate == {"batch-sizes": ("4",)}
    assert found.gating == {"base": "origin/main", "turns": 6, "lenient": True, "tests": ("perf_tests",)}
    assert found.budget == {"max-error": 0.05, "objective": "memory"}
    (tmp_path / "python").mkdir()
    assert found.roots() == [tmp_path / "python", tmp_path]
    monkeypatch.chdir(tmp_path)
    assert project.find(tmp_path).options["model"][1] == "./weights"  # each side of a duet has its own


def test_the_nearest_table_up_to_the_top_of_the_repository(tmp_path):
    written(tmp_path, '[tool.eagerbench]\nthreads = 1\n')
    inner = written(tmp_path / "one" / "two", "[project]\nname = 'no table'\n")
    assert project.find(inner).options == {"threads": ("1",)}
    (tmp_path / "one" / ".git").mkdir()
    assert project.find(inner) == project.Project(inner)


def test_every_option_is_a_key_or_is_typed():
    assert {name[2:] for name in options.declared()} == {*project.OPTIONS, *TYPED}


@pytest.mark.parametrize(("text", "says"), [
    ("modles = 'a:b'", "unknown key in * 'modles': did you mean 'model'?"),
    ("gate = {bsae = 'main'}", "did you mean 'base'?"),
    ("gate = {modle = 'a:b'}", "did you mean 'model'?"),
    ("budget = 5", "expected a table, [tool.eagerbench.budget]"),
    ("batch-sizes = '1,8'", "batch-sizes: expected a whole number or a list of them, not '1,8'"),
    ("batch-sizes = []", "not []"),
    ("batch-sizes = [1, true]", "not [1, True]"),
    ("threads = 1.5", "threads: expected a whole number, not 1.5"),
    ("model = 5", "expected a text or a list of them"),
    ("model = ''", "expected a text"),
    ("device = ['cpu']", "expected a text, not ['cpu']"),
    ("gate = {lenient = 'yes'}", "lenient: expected true or false, not 'yes'"),
    ("pythonpath = '../elsewhere'", "name directories below that of the file"),
    ("a = ", "not TOML"),
])
def test_what_is_wrong_is_one_line(tmp_path, text, says):
    with pytest.raises(BadInput) as error:
        project.find(written(tmp_path, f"[tool.eagerbench]\n{text}\n"))
    assert str(tmp_path / "pyproject.toml") in str(error.value)
    assert says.rpartition("* ")[2] in str(error.value)
    assert "\n" not in str(error.value)


def configured(directory, *arguments, **set_before):
    config = SimpleNamespace(
        invocation_params=SimpleNamespace(args=arguments, dir=directory), getini=lambda name: [], stash=pytest.Stash(),
        option=SimpleNamespace(**{"model": None, "variant": None, "batch_sizes": None, "time_budget": None,
                                  "grid": "default", **set_before}))
    from_file.apply(config)
    return config


def test_what_is_typed_wins_option_by_option(tmp_path, monkeypatch):
    written(tmp_path, EVERYTHING.replace("time-budget", 'grid = "smoke"\ntime-budget'))
    config = configured(tmp_path, "--variant", "sdpa", "--grid=default", variant=["sdpa"])
    assert (config.option.variant, config.option.grid, config.option.batch_sizes) == (["sdpa"], "default", (1, 8))
    (line,) = from_file.lines(config)
    assert line.startswith("eagerbench: from pyproject.toml [tool.eagerbench]: model my_package.models:build, ")
    assert "sdpa" not in line
    assert "grid" not in line
    monkeypatch.setenv("PYTEST_ADDOPTS", "--time-budget 3")
    assert configured(tmp_path).option.time_budget is None  # pytest has read it
    monkeypatch.setenv(VARIABLE, "00003")
    assert configured(tmp_path).option.grid == "default"  # a side of a duet: its controller says what runs


def test_a_value_that_its_option_refuses_names_the_file(tmp_path):
    written(tmp_path, '[tool.eagerbench]\ngrid = "large"\n')
    with pytest.raises(BadInput, match=r"pyproject\.toml: \[tool\.eagerbench\]: unknown grid 'large'"):
        configured(tmp_path)
    for text, says in (("max-eror = 0.05", "did you mean 'max-error'"), ("max-error = 'small'", "max-error")):
        written(tmp_path, f"[tool.eagerbench.budget]\n{text}\n")
        with pytest.raises(BadInput, match=rf"pyproject\.toml: \[tool\.eagerbench\.budget\].*{says}"):
            configured(tmp_path)


def test_a_session_reads_it_and_shows_it(tmp_path):
    """From a directory below, with packages in src/."""
    (tmp_path / "src" / "my_package").mkdir(parents=True)
    (tmp_path / "src" / "my_package" / "__init__.py").touch()
    written(tmp_path, '[tool.eagerbench]\nmodel = "my_package:build"\nvariant = "eager"\nbatch-sizes = [3]\n')
    (tmp_path / "below").mkdir()
    done = run_python("-m", "eagerbench", "list-cases", "-k", "latency", cwd=tmp_path / "below")
    assert done.code == 0, done.out + done.err
    assert "my_package.build/eager/b3/s128/cpu" in done.out
    written(tmp_path, '[tool.eagerbench]\nmodels = "my_package:build"\n')
    done = run_python("-m", "eagerbench", "list-cases", cwd=tmp_path)
    assert done.code == 4
    (line,) = done.err.strip().splitlines()
    assert "unknown key in" in line


def test_recommend_takes_its_budget_from_it(tmp_path, monkeypatch, capsys):
    written(tmp_path, "[tool.eagerbench.budget]\nmax-latency-ms = 0.001\nmax-error = 0.5\n")
    monkeypatch.chdir(tmp_path)
    code, out, _ = analysis(capsys, "recommend", SAVED, "--max-error", "0.25")
    assert code == 1  # nothing is as fast as that
    assert "Budget: --max-error 0.25 --max-latency-ms 0.001" in out
    code, out, _ = analysis(capsys, "report", SAVED, "-o", tmp_path / "report.html")
    assert code == 0
    assert "max-latency-ms" in (tmp_path / "report.html").read_text()
    written(tmp_path, "[tool.eagerbench.budget]\nmax-latency = 1\n")
    code, _, err = analysis(capsys, "recommend", SAVED)
    assert (code, len(err.splitlines())) == (2, 1)
