"""The frame of the experiments: each is complete, its ids are values, and one build serves all of them."""

import ast
import json
import re
from dataclasses import replace
from importlib.resources import files
from statistics import median

import pytest
from running import ROOT, run_pytest

from eagerbench.errors import BadInput
from eagerbench.experiments import EXPERIMENTS, refuse_incomplete
from eagerbench.plan import SHORT_LIST
from eagerbench.results import records
from eagerbench.results.experiment_tables import TABLES
from eagerbench.results.length_tables import cost_per_token


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
    assert (ROOT / "eagerbench" / "experiments" / f"{EXPERIMENTS[name].method}.py").exists()
    schema = json.loads(files("eagerbench.results").joinpath("record.schema.json").read_text())
    assert any(name in json.dumps(branch["if"]) for branch in schema["allOf"])


@pytest.mark.parametrize(("change", "says"), [
    ({}, "a table (TABLES in eagerbench/results/experiment_tables.py) and its fields"),
    ({"method": "nowhere"}, "its method eagerbench/experiments/nowhere.py")])
def test_half_an_experiment_is_refused(change, says):
    half = {**EXPERIMENTS, "half": replace(EXPERIMENTS["latency"], **change)}
    with pytest.raises(BadInput, match=re.escape(says)):
        refuse_incomplete(half)
    refuse_incomplete()


def test_nothing_is_tabled_or_timed_without_an_experiment():
    assert set(TABLES) == set(_tests()) == set(EXPERIMENTS)


SELECTION = ("--model", "tiny-bert", "--variant", "eager", "--variant", "sdpa", "--variant", "torchscript-onednn",
             "--grid", "smoke", "--time-budget", "0.2", "--threads", "1")


def test_tests_run_in_the_order_of_the_plan():
    """Model, variant, experiment: what is listed, in one file or in all."""
    listed = [line.split()[1] for line in run_pytest("--list-cases", *SELECTION).out.splitlines() if "/cpu" in line]
    collected = run_pytest("--collect-only", "-q", "perf_tests", *SELECTION).out
    ids = re.findall(r"::test_\w+\[tiny-bert-(.+)\]", collected)
    assert ids == [name.removeprefix("tiny-bert/").removesuffix("/cpu").replace("/", "-") for name in listed]
    variants = [name.split("/")[1] for name in listed]
    assert variants == sorted(variants, key=["eager", "sdpa", "torchscript-onednn"].index)
    assert {line.split("/")[2] for line in listed} >= {"corpus", "padding", "length", "b4"}


def test_cells_are_those_of_the_collected_experiments(tmp_path):
    """One experiment's file: its records, its table and its cells, and no word of the others."""
    file = tmp_path / "run.json"
    ended = run_pytest("perf_tests/test_corpus.py", "perf_tests/test_padding.py", "--benchmark-only", *SELECTION,
                       "--benchmark-json", str(file), "--benchmark-save-data", "-k", "not padding or not sdpa", "-v")
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    assert records.problems(content) == []
    cells = {cell["bench_id"]: cell for cell in content["eagerbench"]["cells"]}
    assert {cell["experiment"] for cell in cells.values()} == {"corpus", "padding"}
    assert cells["tiny-bert/torchscript-onednn/corpus/b4/sorted/n16/cpu"]["reason"].startswith("its build serves one")
    assert "tiny-bert: corpus throughput" in ended.out
    assert "latency" not in ended.out
    assert re.search(r"│ sdpa +│ 1 timed; not run \(padding\): deselected", ended.out)
    timed = {bench["extra_info"]["bench_id"] for bench in content["benchmarks"]}
    assert timed == {name for name, cell in cells.items() if cell["status"] == "timed"}


def test_unknown_experiment_is_one_line(tmp_path):
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.experiment('latencyy')\ndef test(case): pass\n")
    ended = run_pytest("-p", "eagerbench.fixtures.plugin", "--rootdir", str(tmp_path), str(tmp_path))
    assert ended.code == 2
    assert "unknown experiment 'latencyy': did you mean 'latency'" in ended.out + ended.err


def test_experiments_beside_latency_run_on_a_short_list_unless_variants_are_named():
    def running(*options):
        listed = run_pytest("--list-cases", "--model", "tiny-bert", "--batch-sizes", "2", *options).out
        lines = [line.split() for line in listed.splitlines() if line.endswith("/cpu")]
        return {experiment: {words[1].split("/")[1] for words in lines if words[0] == experiment}
                for experiment in ("latency", "corpus")}

    short, named, full = running(), running("--variant", "*"), running("--grid", "full")
    assert short["corpus"] <= set(SHORT_LIST) < short["latency"] | set(SHORT_LIST)
    assert "bettertransformer" in named["corpus"] & full["corpus"]
    assert named["latency"] == full["latency"] == short["latency"]


def test_default_grid_builds_once_what_serves_one_shape():
    listed = run_pytest("perf_tests/test_latency.py", "--list-cases", "--variant", "torch-compile").out
    latency = [line.split()[1] for line in listed.splitlines() if line.startswith("latency")]
    assert latency == ["minilm/torch-compile/b1/s128/cpu"]
    assert "1 case cannot run: its build serves another shape: add --grid full (torch-compile)" in listed


def test_without_a_model_every_experiment_has_something_to_run():
    """The default model has no head for two of them; a named model gets them all, to run or to refuse."""
    def models(*options):
        lines = [line.split()[:2] for line in run_pytest("--list-cases", *options).out.splitlines() if "/cpu" in line]
        return {experiment: {bench_id.split("/")[0] for name, bench_id in lines if name == experiment}
                for experiment in EXPERIMENTS}

    default, named = models("--variant", "eager"), models("--variant", "eager", "--model", "tiny-gpt2")
    assert default.pop("tasks") == {"distilbert@head=token-classification"}
    assert default.pop("generation") == {"gpt2@layers=4"}
    assert set(map(frozenset, default.values())) == {frozenset({"minilm"})}
    assert set(map(frozenset, filter(None, named.values()))) == {frozenset({"tiny-gpt2"})}
    assert {name for name, models in named.items() if not models} == {"quality", "tasks"}  # refused, with a reason


def test_records_of_tasks_generation_and_length(tmp_path):
    """Timed for real, judged by the schema, and in the tables."""
    file, markdown = tmp_path / "run.json", tmp_path / "summary.md"
    tests = (f"perf_tests/test_{name}.py" for name in ("tasks", "generation", "length"))
    ended = run_pytest(*tests, "--benchmark-only", "--grid", "smoke", "--model", "tiny-llama", "--model",
                       "tiny-bert@head=question-answering", "--variant", "eager", "--variant", "torchscript-freeze",
                       "--time-budget", "0.3", "--threads", "1", "--benchmark-json", str(file), "--benchmark-save-data",
                       "--summary-md", str(markdown))
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    assert records.problems(content) == []
    found = {bench["extra_info"]["bench_id"]: bench for bench in content["benchmarks"]}
    generation = found["tiny-llama/torchscript-freeze/generation/b1/s8/n4/dynamic/cpu"]
    record, rounds = generation["extra_info"], generation["stats"]["data"]
    assert record["generate_s"] == median(rounds)
    assert record["tokens_per_s"] == pytest.approx(4 / record["generate_s"])
    assert 0 < record["time_to_first_token_s"] < record["generate_s"]
    assert (record["parted_at"] is None) == record["identical_ids"] == (record["logit_gap"] is None)
    task = found["tiny-bert@head=question-answering/eager/tasks/question-answering/q1/s384/cpu"]["extra_info"]
    assert (task["predictions"], task["predictions_equal"]) == (1, 1.0)
    short, long = (found[f"tiny-llama/torchscript-freeze/length/b1/s{n}/cpu"]["extra_info"] for n in (8, 32))
    assert short["cost_per_token_s"] is None
    assert long["cost_per_token_s"] == cost_per_token(1, {8: short["call_s"], 32: long["call_s"]})
    assert "tiny-llama: " in markdown.read_text()
