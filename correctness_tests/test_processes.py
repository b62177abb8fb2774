"""Experiments in processes of their own: what is planned, what is recorded, and that a wrong output there fails."""

import json
import os
import re
import sys
import types
from contextlib import nullcontext
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import made
from plain_model import MODEL, NAME
from running import CONTRIBUTING, copy_of_project, run_pytest

from eagerbench import backends
from eagerbench.backends.base import Placement
from eagerbench.errors import CannotRun, WrongOutput
from eagerbench.experiments import memory
from eagerbench.experiments.startup import break_even
from eagerbench.experiments.threads import Layout, layouts
from eagerbench.machine import resident
from eagerbench.measuring.fresh_process import FreshRun
from eagerbench.measuring.instances import run_instances
from eagerbench.models import specs
from eagerbench.results.decode import BadRecord, decode
from eagerbench.results.record import Conditions
from eagerbench.statistics import paired_log_ratios, ratio_of_pairs
from eagerbench.workloads.padded_batch import PaddedBatch
from eagerbench.workloads.processes import InProcesses, physical_cores

STARTUP, MEMORY, THREADS = (f"perf_tests/test_{name}.py" for name in ("startup", "memory", "threads"))
SMALL = ("--benchmark-only", "--batch-sizes", "2", "--sequence-lengths", "8",
         "--time-budget", "0.1")
NO_GRAD = re.search(r"```python\n(# eagerbench/backends/no_grad\.py\n.*?)```", CONTRIBUTING.read_text(), re.DOTALL)[1]
two_cores = pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(physical_cores()) < 2,
                               reason="instances need two cores")


@given(st.integers(1, 200))
def test_layouts_fit_the_cores(cores):
    found = layouts(cores, every=True)
    assert found[0] == (cores, 1) == layouts(cores, every=False)[0]
    assert (1, cores) in found
    assert len(set(found)) == len(found)
    assert all(1 <= instances * threads <= cores for instances, threads in found)
    assert {instances for instances, _ in found} == {cores // threads for threads in range(1, cores + 1)}
    for instances, threads in found:  # no core idles that would give each instance one more, but for one alone
        assert instances == 1 or instances * (threads + 1) > cores


def test_hardware_threads_of_a_core_are_one_core(tmp_path):
    """Linux numbers the second hardware threads behind all first ones, or next to them."""
    for cpu, siblings in ((0, "0,4"), (1, "1,5"), (4, "0,4"), (5, "1,5")):
        directory = tmp_path / f"cpu{cpu}" / "topology"
        directory.mkdir(parents=True)
        (directory / "thread_siblings_list").write_text(siblings + "\n")
    assert physical_cores([0, 1, 4, 5], tmp_path) == [0, 1]
    assert physical_cores([5, 4], tmp_path) == [4, 5]  # one of each core
    assert physical_cores([0, 4], tmp_path) == [0]
    assert physical_cores([7, 3], tmp_path) == [3, 7]  # nothing known of them
    assert set(physical_cores()) <= set(range(os.cpu_count()))


@pytest.mark.parametrize(("change", "reason"), [
    ({}, None), ({"cores": 1}, "one core"), ({"device": "cuda:0"}, "CPU only"),
])
def test_a_layout_is_refused_with_a_reason(change, reason):
    layout = Layout(PaddedBatch(2, 8), 2, "default", **{"instances": 2, "cores": 2, **change})
    found = layout.refuses(specs.resolve("tiny-bert", 0), *backends.variants()["eager"])
    assert found is None if reason is None else reason in found


@pytest.mark.parametrize(("grid", "variant", "reason"), [
    ("smoke", "sdpa", None), ("default", "sdpa", None), ("smoke", "torch-compile", "compiled again"),
    ("default", "torch-compile", "compiled again"), ("full", "torch-compile", None), ("default", "aot-inductor", None),
])
def test_what_takes_minutes_is_for_the_full_grid(grid, variant, reason):
    found = InProcesses(PaddedBatch(2, 8), 1, grid).refuses(specs.resolve("tiny-bert", 0),
                                                           *backends.variants()[variant])
    assert found is None if reason is None else reason in found


def test_ids_are_values():
    assert InProcesses(PaddedBatch(2, 8), 3, "full").id == "b2-s8"
    assert Layout(PaddedBatch(2, 8), 2, "full", instances=2, threads=4).id == "b2-s8-i2-t4"
    too_long = InProcesses(PaddedBatch(1, 600), 1, "default").refuses(specs.resolve("tiny-bert", 0),
                                                                      *backends.variants()["eager"])
    assert "at most 512" in too_long


def session(directory, *arguments, model="tiny-bert"):
    """Records with their rounds, by bench_id, and the Markdown."""
    file, markdown = directory / "run.json", directory / "summary.md"
    ended = run_pytest(*arguments, *SMALL, "--model", model, "--artifacts", str(directory / "artifacts"),
                       "--benchmark-json", str(file), "--benchmark-save-data", "--summary-md", str(markdown))
    assert ended.code == 0, ended.out
    content = json.loads(file.read_text())
    found = {bench["name"]: (decode(bench["extra_info"]), bench) for bench in content["benchmarks"]}
    return {record.identity.bench_id: (record, bench["stats"]["data"]) for record, bench in found.values()}, \
        markdown.read_text()


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A session whose cases start processes."""
    return session(tmp_path_factory.mktemp("memory"), MEMORY, "--variant", "torchscript-freeze", model=MODEL)


@pytest.fixture(scope="module")
def ran_many(tmp_path_factory):
    """A session that starts many: ten imports of torch."""
    return session(tmp_path_factory.mktemp("processes"), STARTUP, THREADS, "--variant", "torchscript-freeze")


@pytest.mark.slow
def test_startup_record_can_be_judged_again(ran_many):
    traced, rounds = ran_many[0]["tiny-bert/torchscript-freeze/startup/b2/s8/cpu"]
    timing, result, costs = traced.timing, traced.result, traced.costs
    logs = paired_log_ratios(rounds, timing.variant_turns, timing.reference_rounds, timing.reference_turns)
    ratio = ratio_of_pairs(logs)
    found = break_even(costs.build_s + median(result.startup_loads_s) - result.eager_load_s,
                       median(timing.reference_rounds), ratio.value, ratio.low, ratio.high)
    assert (result.break_even_calls, result.break_even_missing) == (found.calls, found.missing)
    assert result.disk_bytes == costs.artifact_bytes
    assert result.eager_load_s > 0
    assert result.startup_build_s == costs.build_s > result.startup_save_s > 0


@pytest.mark.slow
def test_eager_starts_from_a_state_dict_too(tmp_path):
    found, markdown = session(tmp_path, STARTUP, "--variant", "eager", "--variant", "torchscript-freeze")
    eager, traced = (found[f"tiny-bert/{name}/startup/b2/s8/cpu"][0] for name in ("eager", "torchscript-freeze"))
    assert traced.result.eager_load_s == eager.result.startup_load_s
    assert eager.result.startup_save_s is None
    assert eager.result.break_even_calls is None
    assert eager.result.disk_bytes >= eager.costs.parameter_bytes
    assert eager.result.state_dict_load_s > 0
    assert "| eager, pickled state_dict |" in markdown


def test_memory_is_a_share_of_eagers(ran):
    traced = ran[0][f"{NAME}/torchscript-freeze/memory/b2/s8/cpu"][0]
    result = traced.result
    assert result.peak_rss_vs_eager == traced.costs.peak_rss_bytes / result.eager_peak_rss_bytes
    assert traced.costs.peak_rss_bytes != result.eager_peak_rss_bytes
    assert result.loaded_from == "artifact"
    assert 0 < result.weights_bytes < result.steady_rss_bytes <= traced.costs.peak_rss_bytes
    assert result.steady_rss_vs_eager == result.steady_rss_bytes / result.eager_steady_rss_bytes
    assert result.weights_bytes == traced.costs.artifact_bytes
    assert traced.conditions == Conditions()  # its time is not the result
    assert f"{NAME}: memory" in ran[1]


@pytest.mark.slow
@two_cores
def test_instances_ran_on_cores_of_their_own(ran_many):
    cores = len(physical_cores())
    record = ran_many[0][f"tiny-bert/torchscript-freeze/threads/b2/s8/i{cores}/t1/cpu"][0]
    result = record.result
    assert len(set(result.instance_cores)) == cores
    rates = [2 * calls / seconds for calls, seconds in zip(result.instance_calls, result.instance_s, strict=True)]
    assert result.samples_per_s == pytest.approx(sum(rates))
    assert all(rate > 0 for rate in rates)
    assert result.samples_per_s_low < result.samples_per_s_high
    assert result.samples_per_s_low < 1.2 * result.samples_per_s < 1.44 * result.samples_per_s_high
    assert "Best of all: " in ran_many[1]


@pytest.mark.parametrize("wrong", [False, True])
def test_outputs_of_another_process_are_judged(workshops, session_of, monkeypatch, wrong):
    """Of the process that a peak is taken in, and of those that start-up and threads are."""
    batch, model = PaddedBatch(2, 8), workshops("tiny-bert").model

    def fresh(variant, directory, spec, batches, *_, **__):
        outputs = [workshops("tiny-bert").expected(inputs).outputs for inputs in batches]
        moved = [{name: array + 0.01 * wrong for name, array in of_one.items()} for of_one in outputs]
        none = [None] * len(batches)
        return FreshRun(moved, moved[0], [2**28] * len(batches), none, [2**27] * len(batches), none, None,
                        imports_s=1.0, load_s=1.0, build_s=0.0, first_call_s=1.0)

    monkeypatch.setattr("eagerbench.measuring.processes.run_fresh", fresh)
    session, case = session_of(model, "sdpa", [batch])
    built = session.builds.build(case(batch))
    says = "sdpa in a process of its own: output differs from eager beyond exact-math: logits: largest error 0.01"
    with pytest.raises(WrongOutput, match=says) if wrong else nullcontext():
        assert session.peaks.of(case(batch), built).rss == 2**28
    with pytest.raises(WrongOutput, match=says) if wrong else nullcontext():
        run = session.processes.run(model.spec, built, [batch.inputs(model)])
        session.processes.demand(case(batch), built, run.first_outputs, "a process of its own")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["memory", "startup", pytest.param("threads", marks=two_cores)])
def test_a_wrong_output_in_another_process_fails(tmp_path, experiment):
    """The variant is right in the session, and wrong where it is measured."""
    root = copy_of_project(tmp_path)
    wrong = NO_GRAD.replace("return self.module(**native)", "outputs = self.module(**native)\n"
                            "                    here = 'eagerbench.fixtures.plugin' in sys.modules\n"
                            "                    outputs.logits += 0 if here else 0.01\n"
                            "                    return outputs").replace('"""\n', '"""\nimport sys\n', 1)
    (root / "eagerbench/backends/no_grad.py").write_text(wrong)
    registry = root / "eagerbench/backends/__init__.py"
    registry.write_text(registry.read_text().replace('    "onnxruntime",\n', '    "onnxruntime",\n    "no_grad",\n'))
    file = root / "run.json"
    ended = run_pytest(f"perf_tests/test_{experiment}.py", *SMALL, "--model", "tiny-bert", "--variant", "no-grad",
                       "--benchmark-json", str(file), cwd=root)
    assert ended.code == 1
    content = json.loads(file.read_text())
    assert content["benchmarks"] == []
    reasons = {cell["experiment"]: cell["reason"] for cell in content["eagerbench"]["cells"]
               if cell["status"] == "failed"}
    assert set(reasons) == {experiment}
    assert all("no-grad in" in reason and "output differs from eager beyond exact-math" in reason
               for reason in reasons.values())


def test_gpu_memory_is_torchs_own_count(monkeypatch):
    """As far as a CPU reaches: which device is asked, and that a process without torch has nothing to ask."""
    asked = {"cuda:1": 123}
    cuda = types.SimpleNamespace(max_memory_allocated=asked.__getitem__)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    assert resident.gpu_peak_bytes("cuda:1") == 123
    assert resident.gpu_peak_bytes("cpu") is None
    monkeypatch.delitem(sys.modules, "torch")
    assert resident.gpu_peak_bytes("cuda:1") is None
    (grid,) = memory.tables("minilm", [made("memory", peak_rss_bytes=2**29),
                                       made("memory", peak_rss_bytes=2**29, variant="sdpa", peak_gpu_bytes=2**28)])
    assert [row[grid.header.index("GPU peak")] for row in grid.rows] == ["–", "256"]


@pytest.mark.parametrize(("experiment", "fields", "says"), [
    ("startup", {"break_even_missing": None}, "break_even_missing is missing"),
    ("startup", {"break_even_calls": 3, "state_dict_load_s": 1.0}, "state_dict_load_s without state_dict_save_s"),
    ("memory", {"peak_rss_bytes": None}, "peak_rss_bytes is missing"),
    ("threads", {"instance_calls": []}, "length >= 1"),
    ("tasks", {"predictions_equal": 1.5}, "<= 1.0"), ("generation", {"new_tokens": 1}, ">= 2")])
def test_a_record_that_lacks_its_result_is_refused(experiment, fields, says):
    with pytest.raises(BadRecord, match=says):
        made(experiment, **fields)


@two_cores
def test_an_instance_that_cannot_load_says_why(tmp_path):
    pytest.importorskip("onnxruntime")
    spec, cores = specs.resolve("tiny-bert", 0), sorted(os.sched_getaffinity(0))[:2]
    with pytest.raises(CannotRun, match=r"in a process of its own: FileNotFoundError: .*nodes\.json"):
        run_instances("onnxruntime", tmp_path, spec, {"input_ids": [[1, 2]]}, Placement(), "system",
                      [[core] for core in cores], 0.1)
