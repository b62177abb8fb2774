"""The frame of the experiments: each is complete, its ids are values, and one build serves all of them."""

import ast
import json
import re
from importlib.resources import files

import pytest
from running import ROOT, run_pytest

from analysis.experiments import TABLES
from fixtures.experiments import EXPERIMENTS


def _tests() -> dict[str, tuple[str, str]]:
    """Experiment → (perf test, its docstring), from the markers in the source."""
    found = {}
    for file in sorted((ROOT / "perf_tests").glob("test_*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            for mark in getattr(function, "decorator_list", ()):
                if "mark.experiment" in ast.unparse(mark):
                    found[mark.args[0].value] = (function.name, ast.get_docstring(function))
    return found


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_is_complete(name):
    """A perf test that ends with its final number and a sample command, a table, fields in the schema."""
    assert name in TABLES
    _, doc = _tests()[name]
    assert re.search(r"^Final number: `\w+`.*\nSample: pytest perf_tests\S* --benchmark-only[^\n]*$", doc,
                     re.MULTILINE | re.DOTALL)
    assert (ROOT / "fixtures" / "measurement" / f"{EXPERIMENTS[name].method}.py").exists()
    schema = json.loads(files("analysis").joinpath("record.schema.json").read_text())
    assert any(name in json.dumps(branch["if"]) for branch in schema["allOf"])


def test_nothing_is_tabled_or_timed_without_an_experiment():
    assert set(TABLES) == set(_tests()) == set(EXPERIMENTS)


def test_unknown_experiment_is_one_line(tmp_path):
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.experiment('latencyy')\ndef test(case): pass\n")
    ended = run_pytest("-p", "fixtures.plugin", "--rootdir", str(tmp_path), str(tmp_path))
    assert ended.code == 2
    assert "unknown experiment 'latencyy': did you mean 'latency'" in ended.out + ended.err
