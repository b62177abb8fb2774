"""What is made before the first case: exports and peaks, side by side, while nothing is timed."""

import os
import signal
from dataclasses import dataclass, replace

import pytest
from running import ROOT
from selections import planned, read

from eagerbench import backends
from eagerbench.backends.base import ExportingBackend
from eagerbench.case import Case
from eagerbench.machine import quiet, quota
from eagerbench.measuring import ahead
from eagerbench.models import specs
from eagerbench.workloads.padded_batch import PaddedBatch

VARIANTS = ["eager", "sdpa", "torchscript", "onnxruntime", "onnxruntime-int8", "openvino", "openvino-int8"]


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(quota, "usable_cores", lambda: 2)
    monkeypatch.delenv(quiet.VARIABLE, raising=False)


def missing(tmp_path, **options) -> list[list[str]]:
    given = {"model": ["tiny-bert"], "variant": VARIANTS, "batch_sizes": "1,2", "sequence_lengths": "16", **options}
    cases = [case for case in planned(**given, artifacts=str(tmp_path)) if case.reason is None]
    return [[case.bench_id for case in job] for job in ahead.jobs(cases, read(**given, artifacts=str(tmp_path)))]


def keep(tmp_path, *labels) -> None:
    for place in ("variants", "memory"):
        for label in labels:
            (tmp_path / place / f"tiny-bert-{label}-0123456789abcdef").mkdir(parents=True, exist_ok=True)


def variants_of(found: list[list[str]]) -> list[str]:
    return [job[0].split("/")[1] for job in found]


def test_what_is_missing_is_made_once_a_variant(tmp_path, cores):
    found = missing(tmp_path)
    assert set(variants_of(found)) == {name for name in VARIANTS if not backends.variants()[name][1].refuses(
        backends.variants()[name][0], read().placement)}
    assert len(variants_of(found)) == len(set(variants_of(found)))
    of_eager = found[variants_of(found).index("eager")]
    assert set(of_eager) == {"tiny-bert/eager/b1/s16/cpu", "tiny-bert/eager/b2/s16/cpu",
                             "tiny-bert/eager/memory/b1/s16/cpu", "tiny-bert/eager/memory/b2/s16/cpu"}
    assert variants_of(found)[-1] in ("eager", "sdpa")  # there is nothing to export


def test_what_is_there_is_not_made_again(tmp_path, cores):
    keep(tmp_path, "eager", "torchscript")
    assert not {"eager", "torchscript"} & set(variants_of(missing(tmp_path)))
    keep(tmp_path, *VARIANTS)
    assert missing(tmp_path) == []


def test_little_work_is_left_to_the_cases(tmp_path, cores):
    assert missing(tmp_path, variant=["eager", "sdpa"]) == []


def test_without_peaks_only_exports_are_made(tmp_path, cores):
    found = variants_of(missing(tmp_path, peaks="here", variant=["*"]))
    assert found
    assert all(isinstance(backends.variants()[name][1], ExportingBackend) for name in found)


def test_who_builds_anew_builds_in_the_cases(tmp_path, cores):
    selection = read(model=["tiny-bert"], artifacts=str(tmp_path))
    cases = [case for case in planned(model=["tiny-bert"], artifacts=str(tmp_path)) if case.reason is None]
    assert ahead.jobs(cases, selection)
    assert ahead.jobs(cases, replace(selection, rebuild=True)) == []


def test_nothing_runs_beside_another_session_that_may_measure(tmp_path, cores, monkeypatch):
    assert missing(tmp_path)
    monkeypatch.setenv(quiet.VARIABLE, str(tmp_path))
    assert missing(tmp_path) == []


def test_one_core_has_nobody_beside_it(tmp_path, cores, monkeypatch):
    monkeypatch.setattr(quota, "usable_cores", lambda: 1)
    assert missing(tmp_path) == []


@dataclass(frozen=True)
class Deadly(PaddedBatch):
    """Ends the process that makes inputs of it."""

    def inputs(self, model):
        os.kill(os.getpid(), signal.SIGKILL)


def case(variant: str, workload: PaddedBatch) -> Case:
    return Case(specs.resolve("tiny-bert", 0), backends.variants()[variant][0], "latency", workload, "cpu", None)


def test_a_process_that_dies_leaves_the_rest_to_the_other_and_the_session_finds_it(tmp_path, monkeypatch):
    """The deadly batch is the one of its variant alone: whoever takes it dies, and its case is not done."""
    from eagerbench.measuring.session import Session

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "correctness_tests"), str(ROOT)]))
    selection = read(model=["tiny-bert"], artifacts=str(tmp_path), threads="1")
    good, deadly = PaddedBatch(2, 16), Deadly(1, 16)
    script, onnx, sdpa = case("aot-inductor", deadly), case("onnxruntime", good), case("sdpa", good)
    said: list[str] = []
    jobs = [[script], [onnx], [sdpa]]
    ahead.prepare(ahead.Request(jobs, selection, "system", {onnx.model: [good]}), said.append)
    assert said == ["preparing 3 variants before the first case: exports and peaks of memory, 2 at a time"]
    kept = {place: sorted(path.name.rpartition("-")[0] for path in (tmp_path / place).iterdir() if path.is_dir())
            for place in ("variants", "memory")}
    assert kept["memory"] == ["tiny-bert-onnxruntime", "tiny-bert-sdpa"]
    assert "tiny-bert-onnxruntime" in kept["variants"]
    assert "tiny-bert-aot-inductor" not in kept["variants"]

    session = Session(selection, "system", lambda spec: [good])
    monkeypatch.setattr(session.processes, "run", lambda *_, **__: pytest.fail("measured again"))
    built = session.builds.build(onnx)
    assert (built.cached, built.beside) == (True, 1)
    assert session.peaks.of(onnx, built).rss > 2**20
