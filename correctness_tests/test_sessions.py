"""Whole sessions in processes of their own: the plan, the JSON, the tables, comparison."""

import json
import re

import pytest
from analysis_files import analysis
from running import copy_of_project, run_pytest, run_python

from eagerbench.machine.spent import PARTS
from eagerbench.results import records
from eagerbench.results.spent import TITLE

ONNX_VARIANTS = ("--variant", "onnxruntime", "--variant", "onnxruntime-fused", "--variant", "onnxruntime-int8")
HARNESS = "perf_tests/test_harness_overhead.py"
SELECTION = ("perf_tests/test_latency.py", HARNESS, "--benchmark-only", "--model", "tiny-bert", "--variant", "eager",
             *ONNX_VARIANTS, "--variant", "eager-bf16", "--batch-sizes", "1", "--sequence-lengths", "16,600",
             "--time-budget", "0.1", "--peaks", "here")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One session: how it ended, its content with the records of cases alone, its file, its Markdown."""
    directory = tmp_path_factory.mktemp("session")
    file, markdown = directory / "run.json", directory / "summary.md"
    ended = run_pytest(*SELECTION, "--benchmark-json", str(file), "--benchmark-save-data", "--summary-md",
                       str(markdown), "-v")
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    content["benchmarks"] = [bench for bench in content["benchmarks"] if "identity" in bench["extra_info"]]
    return ended, content, file, markdown


def test_records_fit_the_schema(ran):
    _, content, file, _ = ran
    assert records.problems(content) == []
    assert run_python("-m", "eagerbench", "check", str(file)).code == 0


def test_every_second_is_booked(ran):
    """From the start of the process: more than since collection, and no part is left out. Calls are in three parts."""
    session = ran[1]["eagerbench"]["session"]
    parts = session["spent"]
    assert parts.keys() == PARTS.keys()
    assert sum(parts.values()) > session["wall_s"]
    assert parts["timing"] + parts["warming_up"] > session["measured_s"] > 0
    happened = ["starting", "collecting", "models", "references", "building", "opening", "judging", "probing",
                "recording", "saving", "pytest"]
    assert [name for name in happened if not parts[name]] == []
    assert [parts[name] for name in ("waiting", "processes", "ahead")] == [0, 0, 0]  # no duet, and --peaks here
    for shown in (ran[0].out, ran[3].read_text()):
        assert TITLE in shown
        assert PARTS["references"] in shown


def test_what_other_tools_read_is_there(ran):
    """github-action-benchmark (`tool: pytest`, src/extract.ts) and Bencher (`python_pytest` adapter) are not run here:
    these are the fields that they read."""
    content = ran[1]
    assert isinstance(content["commit_info"]["id"], str)
    for bench in content["benchmarks"]:
        stats = bench["stats"]
        assert isinstance(bench["fullname"], str)
        assert stats["rounds"] == len(stats["data"]) > 1
        assert stats["mean"] == pytest.approx(sum(stats["data"]) / stats["rounds"])
        assert stats["ops"] == pytest.approx(1 / stats["mean"])
        assert stats["stddev"] > 0


def test_record_can_be_judged_again(ran):
    """The ratio follows from the rounds and turns in the file."""
    import math

    from eagerbench.statistics import paired_log_ratios, ratio_of_pairs

    for bench in ran[1]["benchmarks"]:
        timing = bench["extra_info"]["timing"]
        logs = paired_log_ratios(bench["stats"]["data"], timing["variant_turns"], timing["reference_rounds"],
                                 timing["reference_turns"])
        assert math.isclose(ratio_of_pairs(logs).value, timing["speedup_vs_eager"])


def test_what_is_listed_is_what_runs(ran, tmp_path):
    """And listing builds nothing."""
    listed = run_pytest(*SELECTION, "--list-cases", "--artifacts", str(tmp_path / "none"))
    assert listed.code == 0
    assert not (tmp_path / "none").exists()
    names = [line.split()[1] for line in listed.out.splitlines() if line.startswith("latency ")]
    cells = {cell["bench_id"]: cell for cell in ran[1]["eagerbench"]["cells"]}
    assert names == [name for name, cell in cells.items() if cell["status"] == "timed"]
    assert set(names) == {bench["extra_info"]["identity"]["bench_id"] for bench in ran[1]["benchmarks"]}
    refused = [cell for cell in cells.values() if cell["status"] == "skipped"]
    counts = re.findall(r"^(\d+) cases? (?:does|do) not run: ", listed.out, re.MULTILINE)
    assert sum(map(int, counts)) == len(refused) > 0
    assert "do not run: tiny-bert accepts at most 512 tokens (eager, " in listed.out


def test_tables(ran):
    out, markdown = ran[0].out, ran[3].read_text()
    timed = {bench["extra_info"]["identity"]["variant"] for bench in ran[1]["benchmarks"]}
    assert re.search(rf"benchmark 'tiny-bert batch 1 × 16': {len(timed)} tests", out)
    rows = re.findall(r"test_latency\[tiny-bert-(\S+)-b1-s16\]", out)
    assert rows[0] == "eager"
    for text in (out, markdown):
        assert "speed-up over eager" in text
        assert "every variant on every model" in text
        assert "accepts at most 512 tokens" in " ".join(text.replace("│", " ").split())
        assert "attention fused in 2 of 2 blocks" in re.sub(r"[\s│]+", " ", text)
    assert "| onnxruntime-int8 | quantised |" in markdown
    bound = r"(\d+\.\d\d|<0\.01|>99)"
    assert re.search(rf"│ eager +│ exact-math +│ \d+\.\d\d[*?]? \[{bound}, {bound}\]", out)
    assert run_python("-m", "eagerbench", "summary", str(ran[2]), "--markdown").out.strip() == markdown.strip()


def test_identity_is_made_of_values(ran):
    for bench in ran[1]["benchmarks"]:
        identity, work = bench["extra_info"]["identity"], bench["extra_info"]["workload"]
        assert identity["bench_id"] == f"tiny-bert/{identity['variant']}/b{work['batch_size']}/s16/cpu"
        assert "0x" not in json.dumps(bench["params"])
        assert "UNSERIALIZABLE" not in json.dumps(bench)


def test_two_runs_compare_without_a_warning(ran, tmp_path):
    """By pytest's own option and by pytest-benchmark's command."""
    file = ran[2]
    again = tmp_path / "again.json"
    ended = run_pytest(HARNESS, "--benchmark-only", "--model", "tiny-bert", "--variant", "eager", "--time-budget",
                       "0.1", f"--benchmark-compare={file}", "--benchmark-json", str(again))
    assert ended.code == 0, ended.out
    assert ended.out.count("test_harness_overhead (") == 2
    assert "Comparing against benchmarks from" in ended.out + ended.err
    assert "machine_info is different" not in ended.out + ended.err
    compared = run_python("-m", "pytest_benchmark", "compare", str(file), str(again))
    assert compared.code == 0, compared.err
    assert compared.out.count("test_harness_overhead (") == 2
    assert "test_latency[tiny-bert-onnxruntime-b1-s16]" in compared.out


@pytest.mark.slow
def test_selection_of_a_directory_does_just_that(tmp_path):
    """The command of docs/your-model.md."""
    from eagerbench.models import specs
    from eagerbench.models.loading import load

    root = copy_of_project(tmp_path)
    load(specs.resolve("tiny-bert", 0)).module.save_pretrained(root / "some-bert-dir")
    file = root / "run.json"
    ended = run_pytest("--benchmark-only", "-k", "test_latency", "--model", "./some-bert-dir", "--variant",
                       "onnxruntime", "--variant", "sdpa", "--batch-sizes", "1,4", "--sequence-lengths", "32",
                       "--time-budget", "0.1", "--peaks", "here", "--benchmark-json", str(file),
                       "--benchmark-save-data", cwd=root)
    assert ended.code == 0, ended.out
    ids = {bench["extra_info"]["identity"]["bench_id"] for bench in json.loads(file.read_text())["benchmarks"]
           if "identity" in bench["extra_info"]}
    assert ids == {f"some-bert-dir/{variant}/b{batch}/s32/cpu" for variant in ("sdpa", "onnxruntime")
                   for batch in (1, 4)}


@pytest.fixture(scope="module")
def ran_on_factories(tmp_path_factory):
    """`of(model)`, of one session of both models below: its cells by variant, and the variants with a benchmark."""
    directory = tmp_path_factory.mktemp("factories")
    (directory / "branching.py").write_text(BRANCHING)
    (directory / "fixed.py").write_text(FIXED_LENGTH)
    file = directory / "run.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(directory))
        ended = run_pytest("perf_tests/test_latency.py", "--benchmark-only", "--model", "branching:build", "--model",
                           "fixed:build", "--variant", "eager", "--variant", "torchscript", "--variant", "onnxruntime",
                           "-k", "not (fixed and onnxruntime)", "--batch-sizes", "2", "--sequence-lengths", "8",
                           "--time-budget", "0.1", "--peaks", "here", "--benchmark-json", str(file),
                           "--benchmark-save-data")
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())

    def of(model: str):
        cells = {cell["variant"]: cell for cell in content["eagerbench"]["cells"]
                 if cell["bench_id"].startswith(f"{model}.build/")}
        return cells, [identity["variant"] for identity in
                       (bench["extra_info"]["identity"] for bench in content["benchmarks"])
                       if identity["bench_id"].startswith(f"{model}.build/")]

    return of


def test_model_that_one_backend_cannot_export(ran_on_factories):
    """Its cell has the first line of the real error; the others run."""
    cells, _ = ran_on_factories("branching")
    assert cells["eager"]["status"] == cells["torchscript"]["status"] == "timed"
    assert cells["onnxruntime"]["status"] == "skipped"
    assert "build failed: the ONNX exporter knows no" in cells["onnxruntime"]["reason"]


BRANCHING = """
import torch

class Unusual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 8)

    def forward(self, input_ids, attention_mask):
        return torch.special.i0e(self.embedding(input_ids)) * attention_mask[..., None]

def build():
    return Unusual()
"""


@pytest.mark.parametrize(("content", "says"), [
    (None, "No such file"), ("", "not JSON"), ("{", "not JSON"), ("[]", "no list of benchmarks"),
    ('{"benchmarks": 3}', "no list of benchmarks"), ('{"benchmarks": []}', "no record of eagerbench"),
    ('{"benchmarks": [{"extra_info": {"model_fingerprint": "a", "engagement": "b"}, "stats": {"median": 1}}]}',
     "benchmark 0: identity.model_fingerprint: expected str"),
])
def test_check_refuses(tmp_path, capsys, content, says):
    file = tmp_path / "run.json"
    if content is not None:
        file.write_text(content)
    code, _, err = analysis(capsys, "check", file)
    assert code in (2, 4)
    assert says in err


def test_a_graph_that_keeps_the_length_of_its_example_is_a_reason(ran_on_factories):
    """The model is right and its traced graph cannot be: no failure, and the cell says why."""
    cells, timed = ran_on_factories("fixed")
    assert cells["eager"]["status"] == "timed"
    assert cells["torchscript"]["status"] == "skipped"
    assert cells["torchscript"]["reason"].startswith("Positions takes another branch at 2 × 8 than at 3 × 11")
    assert timed == ["eager"]


FIXED_LENGTH = """
import torch

class Positions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 8)

    def forward(self, input_ids, attention_mask):
        return self.embedding(input_ids) + torch.ones(len(input_ids[0].tolist()), 8)

def build():
    return Positions()
"""


@pytest.mark.slow
def test_first_variant_unavailable_does_not_matter(tmp_path):
    """The variants behind it are still measured, peak memory included."""
    ended = run_pytest("perf_tests/test_latency.py", "--benchmark-only", "--model", "tiny-gpt2", "--variant",
                       "neuron", "--variant", "onnxruntime", "--batch-sizes", "1", "--sequence-lengths", "8",
                       "--time-budget", "0.1", "--artifacts", str(tmp_path))
    assert ended.code == 0, ended.out
