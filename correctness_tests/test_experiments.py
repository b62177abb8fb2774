"""The frame of the experiments: each is complete, its ids are values, and one build serves all of them."""

import ast
import json
import re
from collections import Counter
from statistics import median

import msgspec
import pytest
from made_records import made
from plain_model import MODEL, NAME
from running import ROOT, WITHOUT_PLUGINS, copy_of_project, run_pytest, run_python
from selections import planned

from eagerbench import backends
from eagerbench.backends.base import Runs
from eagerbench.experiments import EXPERIMENTS
from eagerbench.plan import as_text
from eagerbench.results import older, records
from eagerbench.results.decode import decode
from eagerbench.results.record import to_json

MOST_LINES = 15  # of what a perf test does, its docstring aside


def _tests() -> dict[str, ast.FunctionDef]:
    """Experiment → its perf test, from the markers in the source."""
    found = {}
    for file in sorted((ROOT / "perf_tests").glob("test_*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            for mark in getattr(function, "decorator_list", ()):
                if "mark.experiment" in ast.unparse(mark):
                    found[mark.args[0].value] = function
    return found


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_is_complete(name):
    """A question; a perf test that ends with its final number and a sample command; a record that a file gives back,
    each field in one topic; tables and a headline."""
    experiment, record = EXPERIMENTS[name], made(name)
    assert experiment.question.endswith("?")
    assert re.search(r"^Final number: `\w+`.*\nSample: pytest perf_tests\S* --benchmark-only[^\n]*$",
                     ast.get_docstring(_tests()[name]), re.MULTILINE | re.DOTALL)
    assert (ROOT / "eagerbench" / "experiments" / f"{name}.py").exists()
    saved = json.loads(json.dumps(to_json(record)))
    assert decode(saved) == decode(older.flat(saved)) == record
    topics = older.topics(experiment.record).values()
    assert max(Counter(field.encode_name for part in topics for field in msgspec.structs.fields(part)).values()) == 1
    assert experiment.tables("m", [record])
    assert experiment.headline(record)


def test_nothing_is_timed_without_an_experiment():
    assert set(_tests()) == set(EXPERIMENTS)
    assert [experiment.place for experiment in EXPERIMENTS.values()] == list(range(len(EXPERIMENTS)))


def test_perf_tests_show_what_is_timed():
    """Shortly, and each what is its own."""
    done = {name: [ast.unparse(step) for step in test.body[1:]] for name, test in _tests().items()}
    assert all("\n".join(steps).count("\n") < MOST_LINES for steps in done.values())
    assert len(set(map(str, done.values()))) == len(done)


TRACED = "torchscript-freeze"
SELECTION = ("--model", MODEL, "--variant", "eager", "--variant", TRACED, "--variant", "torchscript-onednn",
             "--grid", "smoke", "--time-budget", "0.1", "--peaks", "here", "--threads", "1")


def test_tests_run_in_the_order_of_the_plan():
    """Model, variant, experiment: what is listed, in one file or in all."""
    listed = [case.bench_id for case in planned(model=[MODEL], grid="smoke", threads="1", variant=[
        "eager", TRACED, "torchscript-onednn"]) if case.reason is None]
    collected = run_pytest("--collect-only", "-q", "perf_tests", *SELECTION).out
    ids = re.findall(rf"::test_\w+\[{NAME}-(.+)\]", collected)
    assert ids == [name.removeprefix(f"{NAME}/").removesuffix("/cpu").replace("/", "-") for name in listed]
    variants = [name.split("/")[1] for name in listed]
    assert variants == sorted(variants, key=["eager", TRACED, "torchscript-onednn"].index)
    assert {line.split("/")[2] for line in listed} >= {"corpus", "padding", "length", "b4"}


def test_cells_are_those_of_the_collected_experiments(tmp_path):
    """One experiment's file: its records, its table and its cells, and no word of the others."""
    file = tmp_path / "run.json"
    ended = run_pytest("perf_tests/test_corpus.py", "perf_tests/test_padding.py", "--benchmark-only", *SELECTION,
                       "--benchmark-json", str(file), "--benchmark-save-data", "-v", "-k",
                       f"not padding or not {TRACED}")
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    assert records.problems(content) == []
    cells = {cell["bench_id"]: cell for cell in content["eagerbench"]["cells"]}
    assert {cell["experiment"] for cell in cells.values()} == {"corpus", "padding"}
    assert cells[f"{NAME}/torchscript-onednn/corpus/b4/sorted/n16/cpu"]["reason"].startswith("its build serves one")
    assert f"{NAME}: corpus throughput" in ended.out
    assert "latency" not in ended.out
    assert re.search(rf"│ {TRACED} +│ 1 timed; not run \(padding\): deselected", ended.out)
    assert {bench["extra_info"]["identity"]["bench_id"] for bench in content["benchmarks"]} == {
        name for name, cell in cells.items() if cell["status"] == "timed"}


MODULE = '''
"""Pairs: how long two calls in a row take."""

from statistics import median

from eagerbench.experiments.base import Experiment
from eagerbench.measuring import recording
from eagerbench.measuring.one_batch import OneBatchRun
from eagerbench.results.grid import Grid
from eagerbench.results.record import Batch, Part, Positive, Record, WarmedUp
from eagerbench.workloads.padded_batch import PaddedBatch


class Result(Part, kw_only=True):
    both_s: Positive


PairRecord = Record[Batch, WarmedUp, Result]


def workloads(spec, selection):
    return [PaddedBatch(2, 8, selection.seed)]


class PairRun(OneBatchRun):
    def complete(self, timing):
        return self.assembled(PairRecord, self.batch, recording.warmed_up(timing),
                              Result(both_s=median(timing.rounds)))


def tables(model, records):
    rows = [[record.identity.variant, headline(record)] for record in records]
    return [Grid(f"{model}: two calls in a row", ["variant", "both"], rows)]


def headline(record):
    return f"{1e3 * record.result.both_s:.1f} ms"


def rank(record):
    return -record.result.both_s


EXPERIMENT = Experiment("pair", 50, "How long do two calls take?", workloads, PairRun, PairRecord, tables, headline,
                        rank)
'''
PERF_TEST = '''
"""Two calls in a row."""

import pytest


@pytest.mark.experiment("pair")
def test_pair(case, build, measuring):
    """How long two calls take.

    Final number: `both_s`.
    Sample: pytest perf_tests/test_pair.py --benchmark-only
    """
    with measuring(case, build(case)) as run:
        one = run.call(run.inputs)
        run.finish(run.alone(lambda: (one(), one())[1]))
'''


def test_a_new_experiment_is_a_module_and_a_perf_test(tmp_path):
    """Nothing else is touched: its cases run, its records are saved, summarised and checked."""
    project, file = copy_of_project(tmp_path), tmp_path / "run.json"
    (project / "eagerbench" / "experiments" / "pair.py").write_text(MODULE)
    (project / "perf_tests" / "test_pair.py").write_text(PERF_TEST)
    chosen = ("--model", MODEL, "--variant", "eager", "--variant", TRACED, "--grid", "smoke", "--threads", "1")
    ended = run_pytest("perf_tests/test_pair.py", "--benchmark-only", *chosen, "--time-budget", "0.2",
                       "--benchmark-json", str(file), "--benchmark-save-data", cwd=project)
    assert ended.code == 0, ended.out
    assert f"eagerbench: {NAME} · 2 cases · " in ended.out
    assert re.search(rf"{TRACED} · pair b2-s8 +\d+\.\d ms", ended.out)
    saved = {bench["extra_info"]["identity"]["bench_id"]: bench for bench in json.loads(file.read_text())["benchmarks"]}
    assert list(saved) == [f"{NAME}/{variant}/pair/b2/s8/cpu" for variant in ("eager", TRACED)]
    assert all(one["extra_info"]["result"] == {"both_s": median(one["stats"]["data"])} for one in saved.values())
    summary = run_python("-m", "eagerbench", "summary", str(file), cwd=project)
    assert (summary.code, f"{NAME}: two calls in a row" in summary.out) == (0, True), summary
    checked = run_python("-m", "eagerbench", "check", str(file), cwd=project)
    assert (checked.code, checked.out) == (0, f"{file}: 2 records, all complete\n"), checked


def test_plan_and_summary_import_nothing_heavy(tmp_path):
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"benchmarks": [{"extra_info": to_json(made(name)), "fullname": name,
                                                "stats": {"median": 1.0, "data": [1.0]}} for name in EXPERIMENTS]}))
    heavy = "print('HEAVY', sorted({'torch', 'transformers', 'onnxruntime'} & set(sys.modules)))"
    # Of the variants some ask torch whether they can run; the experiments do not.
    listing = ["--list-cases", "-p", "no:cacheprovider", *WITHOUT_PLUGINS, "--model", "tiny-bert", "--variant", "eager"]
    for run in (f"import pytest; pytest.main({listing})",
                f"from eagerbench.cli import main; main(['summary', '{file}'])"):
        ended = run_python("-c", f"import sys; {run}; {heavy}")
        assert "HEAVY []" in ended.out, ended


def test_unknown_experiment_is_one_line(tmp_path):
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.experiment('latencyy')\ndef test(case): pass\n")
    ended = run_pytest("-p", "eagerbench.fixtures.plugin", "--rootdir", str(tmp_path), str(tmp_path), "--variant=eager")
    assert ended.code == 2
    assert "unknown experiment 'latencyy': did you mean 'latency'" in ended.out + ended.err


def running_where(runs: Runs) -> set[str]:
    return {name for name, (variant, _) in backends.variants().items() if variant.runs is runs}


def test_what_is_called_in_cpp_runs_where_it_is_named():
    assert {name for name in backends.variants() if name.endswith("-cpp")} <= running_where(Runs.WHEN_NAMED)


def test_experiments_beside_latency_run_on_a_short_list_unless_variants_are_named():
    def running(**options):
        cases = [case for case in planned(model=["tiny-bert"], batch_sizes="2", **options) if case.reason is None]
        return {experiment: {case.variant.name for case in cases if case.experiment == experiment}
                for experiment in ("latency", "corpus")}

    short, named, full = running(), running(variant=["*"]), running(grid="full")
    everywhere = running_where(Runs.IN_EVERY_EXPERIMENT)
    assert everywhere == {"eager", "onnxruntime", "onnxruntime-int8"}
    assert short["corpus"] <= everywhere < short["latency"] | everywhere
    assert "bettertransformer" in named["corpus"] & full["corpus"]
    assert named["latency"] == full["latency"]
    asked_for = running_where(Runs.WHEN_NAMED) & named["latency"]
    assert named["latency"] - short["latency"] == running_where(Runs.IN_SMALLER_GRIDS) & named["latency"] | asked_for
    smoke = {case.variant.name for case in planned(model=["tiny-bert"], grid="smoke") if case.reason is None}
    assert smoke == named["latency"] - asked_for


def test_controls_run_at_one_shape_unless_something_is_named():
    controls = running_where(Runs.AT_ONE_SHAPE)

    def running(**options):
        return [case.bench_id for case in planned(**options) if case.reason is None and case.variant.name in controls]

    default, named, shapes = running(), running(variant=["*"]), running(batch_sizes="2,4")
    assert default == [f"minilm/{name}/b1/s128/cpu" for name in backends.variants() if name in controls]
    assert {name.split("/")[2] for name in named} >= {"b1", "b8", "quality", "corpus"}
    assert {"/".join(name.split("/")[2:4]) for name in shapes} == {"b2/s128", "b4/s128"}


def test_default_grid_builds_once_what_serves_one_shape():
    cases = [case for case in planned(variant=["torch-compile"]) if case.experiment == "latency"]
    listed = as_text(cases, "")
    latency = [line.split()[1] for line in listed.splitlines() if line.startswith("latency")]
    assert latency == ["minilm/torch-compile/b1/s128/cpu"]
    assert "1 case does not run: its build serves another shape: add --grid full (torch-compile)" in listed


def test_without_a_model_every_experiment_has_something_to_run():
    """The default model has no head for two of them; a named model gets them all, to run or to refuse."""
    def models(**options):
        cases = [case for case in planned(variant=["eager"], **options) if case.reason is None]
        return {experiment: {case.model.name for case in cases if case.experiment == experiment}
                for experiment in EXPERIMENTS}

    default, named = models(), models(model=["tiny-gpt2"])
    assert default.pop("tasks") == {"distilbert@head=token-classification"}
    assert default.pop("generation") == {"gpt2@layers=4"}
    assert not any(default.pop(name) | named.pop(name) for name in ("serving", "embeddings"))  # only where named
    assert default.pop("python") == set()  # of variants that run where they are named
    assert set(map(frozenset, default.values())) == {frozenset({"minilm"})}
    assert set(map(frozenset, filter(None, named.values()))) == {frozenset({"tiny-gpt2"})}
    refused = {"python", "quality", "tasks"}  # with a reason
    assert {name for name, models in named.items() if not models} == refused


@pytest.mark.slow
def test_records_of_tasks_generation_and_length(tmp_path):
    """Timed for real, complete by their types, and in the tables."""
    file, markdown = tmp_path / "run.json", tmp_path / "summary.md"
    tests = (f"perf_tests/test_{name}.py" for name in ("tasks", "generation", "length"))
    ended = run_pytest(*tests, "--benchmark-only", "--grid", "smoke", "--model", "tiny-llama", "--model",
                       "tiny-bert@head=question-answering", "--variant", "eager", "--variant", "torchscript-freeze",
                       "-k", "(tiny-llama and torchscript-freeze) or (tasks and eager)", "--time-budget", "0.1",
                       "--peaks", "here", "--threads", "1", "--benchmark-json", str(file), "--benchmark-save-data",
                       "--summary-md", str(markdown))
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    assert records.problems(content) == []
    found = {bench["extra_info"]["identity"]["bench_id"]: bench for bench in content["benchmarks"]}
    generation = found["tiny-llama/torchscript-freeze/generation/b1/s8/n4/dynamic/cpu"]
    result, rounds = decode(generation["extra_info"]).result, generation["stats"]["data"]
    assert result.generate_s == median(rounds)
    assert result.tokens_per_s == pytest.approx(4 / result.generate_s)
    assert 0 < result.time_to_first_token_s < result.generate_s
    assert (result.parted_at is None) == result.identical_ids == (result.logit_gap is None)
    task = found["tiny-bert@head=question-answering/eager/tasks/question-answering/q1/s384/cpu"]["extra_info"]
    assert (task["result"]["predictions"], task["result"]["predictions_equal"]) == (1, 1.0)
    for name in ("tiny-llama/torchscript-freeze/length/b1/s8/cpu", "tiny-llama/torchscript-freeze/length/b1/s32/cpu"):
        result = found[name]["extra_info"]["result"]
        assert set(result) == {"padded_tokens", "real_tokens", "call_s", "tokens_per_s"}  # of its own case alone
        assert result["call_s"] == median(found[name]["stats"]["data"])
    assert "tiny-llama: " in markdown.read_text()
