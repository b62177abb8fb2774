"""Under load: batching and the search for a rate against a simulated server, and one real session of the generator."""

import heapq
import json
import math
import random
import re

import pytest
from made_records import made
from running import run_pytest, run_python
from selections import planned

from eagerbench.errors import CannotRun
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results.decode import BadRecord, decode
from eagerbench.serving import generator, measure
from eagerbench.serving.generator import Load, Outcome
from eagerbench.serving.measure import Plan
from eagerbench.serving.policy import Batcher, Policy, Query
from eagerbench.serving.search import bracket, search

NEEDS_LOADGEN = pytest.mark.skipif(generator.missing() is not None, reason=str(generator.missing()))
FAKE = Outcome(True, 662, 0.001, 0.001, 0.001, 0.001, 1000.0, 662)


def simulated(policy, arrivals, lengths, seconds_of):
    """Batches, and latencies from arrival to answer, of a server that answers one batch after another: no clock."""
    batcher, now, batches, latencies = Batcher(policy, lengths), 0.0, [], {}
    coming = [(at, number) for number, at in enumerate(arrivals)]
    heapq.heapify(coming)
    while coming or len(batcher):
        while coming and coming[0][0] <= now:
            at, number = heapq.heappop(coming)
            batcher.add(Query(number, number % len(lengths), at))
        if batch := batcher.take(now):
            now += seconds_of(len(batch))
            batches.append([query.number for query in batch])
            latencies |= {query.number: now - query.came_s for query in batch}
            continue
        now = min([at for at, _ in coming[:1]] + [max(now + wait_s, math.nextafter(now, math.inf))
                                                  for wait_s in [batcher.wait_s(now)] if wait_s is not None])
    return batches, latencies


def poisson(rate, queries=3000, seed=0):
    rng, now = random.Random(seed), 0.0
    return [now := now + rng.expovariate(rate) for _ in range(queries)]


def p99(latencies):
    return sorted(latencies.values())[math.ceil(0.99 * len(latencies)) - 1]


def test_one_by_one_answers_in_order():
    batches, latencies = simulated(Policy(), [0.0, 0.1, 0.15], [5], lambda size: 0.2)
    assert batches == [[0], [1], [2]]
    assert list(latencies.values()) == pytest.approx([0.2, 0.3, 0.45])


def test_a_batch_goes_when_it_is_full_or_its_oldest_has_waited():
    policy = Policy(3, 0.1)
    full, _ = simulated(policy, [0.0, 0.01, 0.02, 0.03], [5], lambda size: 0.0)
    assert full == [[0, 1, 2], [3]]
    batches, latencies = simulated(policy, [0.0, 0.05, 0.2], [5], lambda size: 0.0)
    assert batches == [[0, 1], [2]]
    assert latencies[0] == pytest.approx(0.1)  # it waited for as long as it may
    assert latencies[1] == pytest.approx(0.05)


def test_a_batch_has_the_oldest_and_those_nearest_in_length():
    batcher = Batcher(Policy(2), [10, 90, 11, 88])
    for sample in (1, 0, 2, 3):
        batcher.add(Query(sample, sample, 0.0))
    assert [query.sample for query in batcher.take(0.0)] == [1, 3]
    assert [query.sample for query in batcher.take(0.0)] == [0, 2]
    assert (len(batcher), batcher.wait_s(0.0), batcher.take(0.0)) == (0, None, [])


@pytest.mark.parametrize("policy", [Policy(), Policy(4, 0.002), Policy(32, 0.05)])
def test_every_query_is_answered_once_and_none_starves(policy):
    arrivals = poisson(900, 500)
    batches, _ = simulated(policy, arrivals, [3, 100, 7, 20, 50], lambda size: 0.001 * size)
    assert sorted(number for batch in batches for number in batch) == list(range(500))
    assert max(map(len, batches)) <= policy.most_batch
    if policy.most_batch == 4:  # the oldest is in the next batch, whatever its length
        assert [min(batch) for batch in batches] == sorted(min(batch) for batch in batches)


def test_batching_carries_more_until_the_wait_takes_the_limit():
    """A call costs 4 ms and half a millisecond a query: the statement that the experiment checks, simulated."""
    def carried(policy, limit_s=0.05):
        holds = lambda rate: p99(simulated(policy, poisson(rate), [5], lambda size: 4e-3 + 5e-4 * size)[1]) <= limit_s  # noqa: E731
        return bracket(holds, 20, 4000, 1.05)[0]

    assert carried(Policy(16, 0.005)) > 2 * carried(Policy())
    assert carried(Policy(16, 0.048)) is None or carried(Policy(16, 0.048)) < carried(Policy(16, 0.005))


def test_bisection_finds_the_limit():
    tried = []

    def holds(rate):
        tried.append(rate)
        return rate <= 123.0

    low, high = bracket(holds, 10, 1000, 1.05)
    assert low <= 123 < high <= 1.05 * low
    assert len(tried) < 12
    assert all(10 <= rate <= 1000 for rate in tried)


def test_bisection_at_its_ends():
    assert bracket(lambda rate: True, 10, 100, 1.1) == (100, None)
    assert bracket(lambda rate: True, 100, 50, 1.1) == (50, None)  # never above the highest
    assert bracket(lambda rate: False, 64, 100, 1.1) == (None, 16.0)
    low, high = bracket(lambda rate: rate < 20, 64, 100, 1.1)  # below where it began
    assert low < 20 <= high <= 1.1 * low


def test_a_rate_is_repeated_and_goes_down_until_every_run_holds():
    def flaky(rate):
        """Above 90 every other run holds the limit, above 110 none does."""
        seen.append(rate)
        return rate <= 90 or (rate <= 110 and len(seen) % 2 == 0)

    seen = []
    found = search(flaky, 10, 1000, 1.1, 4)
    assert found.sure <= 90
    assert found.sure <= found.rate < found.fails
    assert seen.count(found.sure) >= 4
    steady = search(lambda rate: rate <= 90, 10, 1000, 1.1, 4)
    assert (steady.rate, steady.rate <= 90 < steady.fails) == (steady.sure, True)
    nothing = search(lambda rate: False, 10, 1000, 1.1, 4)
    assert (nothing.rate, nothing.sure) == (None, None)


def loads(monkeypatch, outcome_of):
    """Every load that a measurement makes, with outcomes that a test gives."""
    made_loads = []

    def drive(load, samples, policy, lengths, call):
        made_loads.append(load)
        return outcome_of(load)

    monkeypatch.setattr(measure, "drive", drive)
    return made_loads


def served(load, valid_to=300.0):
    return Outcome(load.rate <= valid_to, 662, 0.002, 0.003, 0.004, 0.002, 1000.0, 331)


PLAN = Plan(ratio=1.1, repeats=3, least_s=1.0)


def test_a_measurement_searches_below_offline_and_repeats(monkeypatch):
    asked = loads(monkeypatch, served)
    found = PLAN.measure(None, Policy(), [1] * 8, 0.05, 8000.0)
    servers = [load for load in asked if load.scenario == "Server"]
    assert [load.scenario for load in asked[:5]] == ["SingleStream"] * 2 + ["Offline"] * 3
    assert max(load.rate for load in servers) <= 1000
    assert len({load.seed for load in servers}) == len(servers)  # each run has a schedule of its own
    assert min(load.least_s for load in servers) >= 20 * 0.05
    assert found.rate == found.sure <= 300 < found.fails <= 1.1 * found.rate
    assert (found.limited_by, found.missing, found.mean_batch) == ("latency", None, 2.0)
    assert len(found.turns) == len(found.runs) == len(servers)


def test_rates_beyond_what_the_generator_carries_are_not_tried(monkeypatch):
    asked = loads(monkeypatch, served)
    found = PLAN.measure(None, Policy(), [1] * 8, 0.05, 250.0)
    assert max(load.rate for load in asked if load.scenario == "Server") <= 250
    assert (found.rate, found.fails, found.limited_by) == (250.0, None, "load generator")
    with pytest.raises(CannotRun, match=r"the load generator carries 0 queries/s here"):
        PLAN.measure(None, Policy(), [1] * 8, 0.05, 0.0)


def test_too_few_queries_are_no_percentile(monkeypatch):
    loads(monkeypatch, lambda load: Outcome(True, 661, 0.002, 0.003, 0.004, 0.002, 1000.0, 661))
    found = PLAN.measure(None, Policy(), [1] * 8, 0.05, 8000.0)
    assert found.rate is None
    assert found.missing.startswith("p99 is over 50 ms at every rate that was tried")


def test_one_query_at_a_time_over_the_limit_ends_the_search(monkeypatch):
    asked = loads(monkeypatch, lambda load: Outcome(True, 662, 0.05, 0.06, 0.07, 0.05, 20.0, 662))
    found = PLAN.measure(None, Policy(), [1] * 8, 0.05, 8000.0)
    assert not [load for load in asked if load.scenario == "Server"]
    assert (found.rate, found.missing.endswith("70.0 ms for one query at a time")) == (None, True)


def test_a_record_says_why_it_has_no_rate():
    record = made("serving", queries_missing="p99 is over 50 ms")
    assert EXPERIMENTS["serving"].headline(record) == "no rate at p99 ≤ 1000 ms"
    assert EXPERIMENTS["serving"].rank(record) is None
    with pytest.raises(BadRecord, match="queries_missing"):
        made("serving", queries_missing=None)
    with pytest.raises(BadRecord, match="as many entries"):
        made("serving", rates=[1.0, 2.0])
    assert decode(made_json(record)) == record


def test_more_queries_a_second_are_better():
    few, many = (made("serving", queries_per_s=rate, queries_missing=None) for rate in (8.0, 9.0))
    assert EXPERIMENTS["serving"].rank(many) > EXPERIMENTS["serving"].rank(few)


def made_json(record):
    from eagerbench.results.record import to_json

    return json.loads(json.dumps(to_json(record)))


def test_it_is_in_no_default_run():
    def reasons(**options):
        return {case.reason for case in planned(model=["tiny-bert"], **options) if case.experiment == "serving"}

    expected = {generator.missing()}
    left_out = {generator.missing() or "not in the default run; name test_serving.py"}
    assert reasons(variant=["eager"]) == reasons(variant=["eager"], grid="smoke") == left_out
    assert reasons(variant=["eager"], grid="full") == expected


def test_without_the_wheel_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(generator, "missing", lambda: generator.MISSING)
    reasons = {case.reason for case in planned(model=["tiny-bert"], grid="smoke", variant=["eager"])
               if case.experiment == "serving"}
    assert reasons == {"not installed: mlcommons-loadgen, run: pip install -e '.[load]'"}


@pytest.mark.parametrize("text", ["0", "-5", "nan", "fast", "1e9"])
def test_a_limit_that_is_no_number_is_refused(text):
    with pytest.raises(pytest.UsageError, match=r"--p99-ms .*: expected a number of milliseconds"):
        planned(p99_ms=text)


@NEEDS_LOADGEN
def test_the_generator_asks_for_every_sample_and_ends():
    calls = []
    found = generator.drive(Load("Server", 4000, each_once=True), 12, Policy(4, 0.001), [5] * 12, calls.append)
    assert found is None
    assert sorted(sample for batch in calls for sample in batch) == list(range(12))
    assert max(map(len, calls)) <= 4


@NEEDS_LOADGEN
def test_an_error_of_a_call_ends_the_generator_first():
    def call(batch):
        raise ArithmeticError("a call failed")

    with pytest.raises(ArithmeticError, match="a call failed"):
        generator.drive(Load("Server", 8000, least_queries=50, least_s=0.01), 4, Policy(), [5] * 4, call)


def test_a_log_without_a_result_is_a_reason(tmp_path):
    with pytest.raises(CannotRun, match="ended without a result"):
        generator.read(tmp_path / "none.txt", 0)


@pytest.mark.slow
@NEEDS_LOADGEN
def test_a_real_session(tmp_path):
    """A rate with its curve in the record, the outputs judged, and no file of the generator left."""
    file = tmp_path / "run.json"
    ended = run_pytest("perf_tests/test_serving.py", "--benchmark-only", "--model", "tiny-bert", "--variant", "eager",
                       "--grid", "smoke", "--p99-ms", "200", "--batch-sizes", "4", "--threads", "1", "--time-budget",
                       "0.1", "--peaks", "here", "--no-report", "--benchmark-json", str(file), "--benchmark-save-data")
    assert ended.code == 0, ended.out
    (bench,) = json.loads(file.read_text())["benchmarks"]
    record = decode(bench["extra_info"])
    assert record.identity.bench_id == "tiny-bert/eager/serving/dynamic/b4/w20ms/p99-200ms/n16/cpu"
    assert record.correctness.judged_values > 0
    result = record.result
    assert min(result.run_queries) >= generator.ENOUGH
    assert max(result.rates) <= min(result.offline_per_s, result.carried_per_s)
    if result.queries_per_s is not None:
        assert result.queries_per_s in result.rates
    assert re.search(r"best of serving: eager, (\d.* queries/s|no rate at p99)", ended.out)


SHORT_RUNS = """
from eagerbench.serving import generator, policy
load = generator.Load("Offline", rate=2000.0, least_queries=50, least_s=0.01)
for _ in range(60):
    generator.drive(load, 20, policy.Policy(), [5] * 20, lambda samples: None)
"""


@NEEDS_LOADGEN
def test_runs_of_milliseconds_end_well():
    """The generator's log once read a list of samples that was gone: SIGSEGV in about one run of fifty."""
    ended = run_python("-c", SHORT_RUNS)
    assert ended.code == 0, ended.err
