"""Instances under load: processes that answer side by side, by small programs in their place and in a real session."""

import json
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from queue import SimpleQueue

import numpy as np
import pytest
from made_records import made
from running import run_pytest
from selections import planned

from eagerbench.errors import CannotRun, Crashed
from eagerbench.experiments import EXPERIMENTS
from eagerbench.measuring.own_process import OwnProcess
from eagerbench.results import statements
from eagerbench.results.decode import decode
from eagerbench.serving import generator
from eagerbench.serving.policy import Batcher, Policy, Query
from eagerbench.serving.side_by_side import SideBySide, cut
from eagerbench.workloads.padded_batch import pad
from eagerbench.workloads.processes import physical_cores

NEEDS_LOADGEN = pytest.mark.skipif(generator.missing() is not None, reason=str(generator.missing()))
TWO_CORES = pytest.mark.skipif(len(physical_cores()) < 2, reason="instances need two cores")

ONE = Policy()
# Answers as an instance does; a runtime's own word is on the same stream. Each waits for the other's file of a call
# that names sentence 7: only when both run at once do both answer.
PROGRAM = """
import json, pathlib, sys, time
scratch, number = pathlib.Path(sys.argv[1]), int(sys.argv[2])
last = {}
for line in sys.stdin:
    if line.strip() == "end":
        break
    call, *batch = map(int, line.split())
    if 9 in batch:
        sys.exit(3)
    if 7 in batch:
        (scratch / f"here{number}").touch()
        while not (scratch / f"here{1 - number}").exists():
            time.sleep(0.001)
    last.update(dict.fromkeys(batch, (call, batch)))
    print("the runtime says something", end="")
    print(f"\\nanswered {call}", flush=True)
calls = {call: batch for call, batch in last.values()}
import numpy as np
for call in calls:
    np.savez(scratch / f"out{number}-{call}.npz", logits=np.array([[call, one] for one in calls[call]]))
(scratch / f"calls{number}.json").write_text(json.dumps(list(calls.items())))
"""


@contextmanager
def two(scratch):
    processes = [OwnProcess("eager", [sys.executable, "-c", PROGRAM, str(scratch), str(number)],
                            scratch / f"notes{number}") for number in range(2)]
    try:
        with closing(SideBySide(scratch, processes)) as found:
            yield found
    finally:
        for process in processes:
            process.close()


def served(found: SideBySide, sentences, policy=ONE) -> list[list[int]]:
    """What was answered to queries that come in one after another, batch by batch."""
    inbox, answered = SimpleQueue(), []

    def come():
        for number, sentence in enumerate(sentences):
            inbox.put([Query(number, sentence, time.perf_counter())])
            found.wake()
        while sum(map(len, answered)) < len(sentences):
            time.sleep(0.001)
        inbox.put(None)
        found.wake()

    generating = threading.Thread(target=come)
    generating.start()
    try:
        calls = found.serve(inbox, Batcher(policy, [5] * 10),
                            lambda batch: answered.append([query.sample for query in batch]), time.perf_counter)
    except BaseException:
        answered += [[sentence] for sentence in sentences]  # let the thread end
        raise
    finally:
        generating.join()
    assert inbox.get_nowait() is None
    assert calls == len(answered)
    return answered


def test_two_batches_are_answered_at_once(tmp_path):
    with two(tmp_path) as found:
        assert served(found, [7, 7]) == [[7], [7]]  # each waited for the other


def test_every_query_is_answered_and_the_last_answers_are_kept(tmp_path):
    with two(tmp_path) as found:
        answered = served(found, [0, 1, 2, 3, 0, 1, 2, 3] * 5, Policy(3, 0.01))
        assert sorted(one for batch in answered for one in batch) == sorted([0, 1, 2, 3] * 10)
        assert max(map(len, answered)) <= 3
        again = served(found, [0, 4])
        assert sorted(map(tuple, again)) == [(0,), (4,)]
        batches, outputs = found.kept()
    assert [0] in batches
    assert [4] in batches
    assert {one for batch in batches for one in batch} == {0, 1, 2, 3, 4}
    assert [array["logits"][:, 1].tolist() for array in outputs] == batches
    numbers = [int(array["logits"][0, 0]) for array in outputs]
    assert numbers == sorted(set(numbers))  # in the order of the calls


def test_an_instance_that_ends_costs_the_case_with_its_reason(tmp_path):
    (tmp_path / "notes0").write_text("being called")
    says = "crashed: ended with status 3 in eager while being called"
    with two(tmp_path) as found, pytest.raises(Crashed, match=says):
        served(found, [9])


def test_an_exception_of_an_instance_is_said(tmp_path):
    (tmp_path / "notes0.error").write_text("RuntimeError: no such kernel")
    says = "in a process of its own: RuntimeError: no such kernel"
    with two(tmp_path) as found, pytest.raises(CannotRun, match=says):
        served(found, [9])


def test_a_cut_batch_is_what_padding_it_gives(tiny_model):
    rows = [np.arange(5, 5 + length) for length in (3, 9, 5)]
    every = pad(rows, tiny_model, 9)
    for batch in ([0], [2, 0], [1, 2]):
        expected = pad([rows[one] for one in batch], tiny_model, max(len(rows[one]) for one in batch))
        made_of = cut(every, [3, 9, 5], batch)
        assert set(made_of) == set(expected)
        for name, array in made_of.items():
            assert (array == expected[name]).all()
            assert array.dtype == expected[name].dtype
            assert array.flags["C_CONTIGUOUS"]


@pytest.fixture(scope="module")
def tiny_model():
    from eagerbench.models.loading import load
    from eagerbench.models.specs import resolve

    return load(resolve("tiny-bert", 0))


@NEEDS_LOADGEN
@TWO_CORES
def test_the_plan_has_instances_beside_one_process():
    found = {case.bench_id.removeprefix("tiny-bert/eager/serving/"): case.reason for case in
             planned(model=["tiny-bert"], grid="full", variant=["eager"]) if case.experiment == "serving"}
    cores = len(physical_cores())
    assert f"one-by-one/i{cores}/t1/p99-50ms/n1000/cpu" in found
    assert f"dynamic/b8/w5ms/i{cores}/t1/p99-50ms/n1000/cpu" in found
    assert "one-by-one/p99-50ms/n1000/cpu" in found
    assert set(found.values()) == {None}


@NEEDS_LOADGEN
def test_instances_without_a_core_for_each_are_refused(monkeypatch):
    from eagerbench.experiments import serving

    monkeypatch.setattr(serving, "instance_cores", lambda: 1)
    reasons = {case.reason for case in planned(model=["tiny-bert"], grid="full", variant=["eager"])
               if case.experiment == "serving" and "/i2/" in case.bench_id}
    assert reasons == {"this process may use one core: there is one layout"}


def test_a_table_tells_instances_from_threads():
    tables = EXPERIMENTS["serving"].tables
    fields = {"queries_per_s": 9.0, "queries_missing": None, "rates": [9.0], "run_valid": [True], "run_queries": [700],
              "run_p50_s": [0.01], "run_p90_s": [0.01], "run_p99_s": [0.02], "most_batch": 1, "p99_limit_s": 0.05}
    records = [made("serving", **fields), made("serving", **fields, instances=2, instance_threads=1)]
    (grid,) = tables("m", records)
    assert [row[0] for row in grid.rows] == ["one-by-one, p99 ≤ 50 ms", "one-by-one, 2 × 1 thread, p99 ≤ 50 ms"]
    assert len(EXPERIMENTS["serving"].plot.lines(records)) == 6


@pytest.mark.parametrize(("rates", "verdict"), [((20.0, 30.0), statements.HOLDS), ((30.0, 20.0), statements.DOES_NOT)])
def test_the_statement_compares_as_many_cores(rates, verdict):
    """A process with one thread is not what two instances are compared with."""
    alone, several = rates
    (statement,) = [one for one in statements.published()[1] if one["id"] == "instances-under-load"]
    same = {"experiment": "serving", "model": "m", "corpus_sha256": "0", "variant": "eager", "p99_limit_s": 0.05,
            "most_batch": 1, "wait_share": 0.0, "parameter_bytes": 9e7}
    seen = [{**same, "bench_id": name, "queries_per_s": rate, "instances": instances, "instance_threads": threads,
             "threads_of_all": instances * threads}
            for name, rate, instances, threads in (("a", alone, 1, 2), ("b", several, 2, 1), ("c", 1.0, 1, 1))]
    judged = statements.judge(statement, seen)
    assert judged.verdict == verdict
    assert [one.records for one in judged.observations] == [("b", "a")]


@pytest.mark.slow
@NEEDS_LOADGEN
@TWO_CORES
def test_a_real_session(tmp_path):
    """Instances answer, their outputs are judged, and nothing of them is left."""
    file, cores = tmp_path / "run.json", len(physical_cores())
    ended = run_pytest("perf_tests/test_serving.py", "--benchmark-only", "--model", "tiny-bert", "--variant", "eager",
                       "--variant", "onnxruntime", "--grid", "smoke", "--p99-ms", "200", "--batch-sizes", "1",
                       "--threads", "1", "--time-budget", "0.1", "--peaks", "here", "--no-report", "--benchmark-json",
                       str(file), "--benchmark-save-data")
    assert ended.code == 0, ended.out
    found = [decode(bench["extra_info"]) for bench in json.loads(file.read_text())["benchmarks"]]
    several = [record for record in found if record.workload.instances > 1]
    assert {record.workload.instances for record in several} == {cores}
    assert {record.workload.threads_of_all for record in several} == {cores}
    assert {record.workload.threads_of_all for record in found if record.workload.instances == 1} == {1}
    for record in several:
        assert record.correctness.judged_values > 0
        assert min(record.result.run_queries) >= generator.ENOUGH
        with suppress(TypeError):
            assert record.result.queries_per_s <= record.result.offline_per_s
