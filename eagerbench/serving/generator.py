"""MLPerf's load generator (`mlcommons-loadgen`): it decides when queries come and judges the run by its own rules.

Its rules are in https://github.com/mlcommons/inference/tree/master/loadgen: Server queries come as a Poisson process,
and a latency counts from when the query was scheduled, not from when it could be sent; `early_stopping.cc` says how
many queries a percentile needs.

The generator runs in a thread of its own, which sleeps between queries; the calls are made by the main thread, the one
that also times them elsewhere. Both need Python's lock for a moment: what that costs is measured with a null system
(`carried`).
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from eagerbench.errors import CannotRun
from eagerbench.results.numbers import PERCENTILES
from eagerbench.serving.policy import Batcher, Policy, Query
from eagerbench.serving.side_by_side import SideBySide

MISSING = "not installed: mlcommons-loadgen, run: pip install -e '.[load]'"
ENOUGH = PERCENTILES[99]  # queries behind a p99
Call = Callable[[list[int]], Any] | SideBySide
Put = Callable[[list[Query] | None], None]

_CARRIED_SHARE = 0.1  # of the latency limit that the generator itself may take at p99
_CARRIED_FROM, _CARRIED_TO = 500.0, 16000.0
_CARRIED_TRIES = 3  # a pause of the machine is no limit of the generator
_DETAIL, _SAMPLES = "mlperf_log_detail.txt", b'"loaded_qsl_set"'
_LOG_S = 5.0  # that the log may take to write on a busy machine


def missing() -> str | None:
    """The reason where the load generator is not installed."""
    return None if importlib.util.find_spec("mlperf_loadgen") else MISSING


def version() -> str:
    return importlib.metadata.version("mlcommons-loadgen")


@dataclass(frozen=True)
class Load:
    """A scenario of the load generator.

    Attributes:
        scenario: SingleStream, Server or Offline.
        rate: queries a second: scheduled in Server, expected in Offline.
        limit_s: latency that the 99th percentile must hold in Server.
        least_queries, least_s: of a run, both at least.
        seed: of the order of samples and of the schedule.
        each_once: ask for every sample once, and judge no latency.
    """

    scenario: str
    rate: float = 1000.0
    limit_s: float = 1.0
    least_queries: int = ENOUGH
    least_s: float = 1.0
    seed: int = 0
    each_once: bool = False

    def settings(self, loadgen: Any) -> Any:
        found = loadgen.TestSettings()
        found.scenario = getattr(loadgen.TestScenario, self.scenario)
        found.mode = loadgen.TestMode.AccuracyOnly if self.each_once else loadgen.TestMode.PerformanceOnly
        found.min_duration_ms = round(1e3 * self.least_s)
        found.min_query_count = self.least_queries
        found.server_target_qps = found.offline_expected_qps = self.rate
        found.server_target_latency_ns = round(1e9 * self.limit_s)
        found.server_target_latency_percentile = 0.99
        found.single_stream_expected_latency_ns = max(1, round(1e9 / self.rate))
        found.single_stream_target_latency_percentile = 0.99
        for name in ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"):
            setattr(found, name, self.seed)
        return found


@dataclass(frozen=True)
class Outcome:
    """What the load generator says of a run; seconds.

    Attributes:
        valid: by its rules: enough queries and seconds, and in Server the limit held at the 99th percentile with the
            confidence of early stopping.
        queries: that were answered.
        p50_s, p90_s, p99_s: of their latencies, from the scheduled start on.
        mean_s: of latencies.
        samples_per_s: answered a second, in Server and Offline.
        batches: calls that were made.
        reason: why it is not valid, in its words; empty where it is.
    """

    valid: bool
    queries: int
    p50_s: float
    p90_s: float
    p99_s: float
    mean_s: float
    samples_per_s: float | None
    batches: int
    reason: str = ""


def drive(load: Load, samples: int, policy: Policy, lengths: Sequence[int], call: Call,
          clock: Callable[[], float] = time.perf_counter) -> Outcome | None:
    """Put a load on `call`, which takes the samples of a batch and returns when they are answered, or on instances that
    answer batches side by side.

    Returns:
        what became of it; None of a run in which each sample is asked for once.

    Raises:
        whatever `call` does, once the load generator has ended.
    """
    import mlperf_loadgen as loadgen

    inbox: SimpleQueue = SimpleQueue()

    def put(came: list[Query] | None) -> None:
        inbox.put(came)
        if isinstance(call, SideBySide):
            call.wake()

    with tempfile.TemporaryDirectory(prefix="eagerbench-loadgen-") as directory:
        sut = loadgen.ConstructSUT(
            lambda queries: put([Query(query.id, query.index, clock()) for query in queries]), lambda: None)
        library = loadgen.ConstructQSL(samples, samples, lambda _: None, lambda _: _until_written(directory))
        generator = threading.Thread(target=_generate, args=(loadgen, sut, library, load, directory, put))
        generator.start()
        batcher = Batcher(policy, lengths)
        try:
            if isinstance(call, SideBySide):
                batches = call.serve(inbox, batcher, lambda batch: _answer(batch, loadgen), clock)
            else:
                batches = _serve(inbox, batcher, call, loadgen, clock)
        finally:
            _give_up(inbox, batcher, loadgen, generator)
            loadgen.DestroyQSL(library)
            loadgen.DestroySUT(sut)
        return None if load.each_once else read(Path(directory, _DETAIL), batches)


def _until_written(directory: str) -> None:
    """Keep the generator's list of samples alive until its log, a thread of its own, has written it.

    The log (version 6.0) holds a reference to the list; a run of some milliseconds ended before the log looked at it,
    and the process by SIGSEGV.
    """
    until = time.monotonic() + _LOG_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if _SAMPLES in Path(directory, _DETAIL).read_bytes():
                return
        time.sleep(0.002)


def _generate(loadgen: Any, sut: Any, library: Any, load: Load, directory: str, put: Put) -> None:
    try:
        output = loadgen.LogOutputSettings()
        output.outdir = directory
        output.copy_summary_to_stdout = False
        logs = loadgen.LogSettings()
        logs.log_output = output
        logs.enable_trace = False
        loadgen.StartTestWithLogSettings(sut, library, load.settings(loadgen), logs, "")
    finally:
        put(None)


def _serve(inbox: SimpleQueue, batcher: Batcher, call: Call, loadgen: Any, clock: Callable[[], float]) -> int:
    """Answer until the generator has ended; returns the number of calls."""
    calls = 0
    while True:
        wait_s = batcher.wait_s(clock())
        try:
            came = inbox.get_nowait() if wait_s == 0.0 else inbox.get(timeout=wait_s)
        except Empty:
            came = []
        if came is None:
            inbox.put(None)  # for `_give_up`
            return calls
        for query in came:
            batcher.add(query)
        if came and not inbox.empty():
            continue  # what has come in meanwhile may belong into this batch
        if batch := batcher.take(clock()):
            try:
                call([query.sample for query in batch])
            finally:
                _answer(batch, loadgen)
            calls += 1


def _answer(batch: list[Query], loadgen: Any) -> None:
    loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(query.number, 0, 0) for query in batch])


def _give_up(inbox: SimpleQueue, batcher: Batcher, loadgen: Any, generator: threading.Thread) -> None:
    """Answer what is left without a call: the generator ends only when every query is answered."""
    _answer(batcher.take_all(), loadgen)
    while (came := inbox.get()) is not None:
        _answer(came, loadgen)
    generator.join()


def read(file: Path, batches: int) -> Outcome:
    """What the detailed log says: lines of `:::MLLOG` and a JSON object with `key` and `value`.

    Raises:
        CannotRun: it says nothing of the result.
    """
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    said = {}
    for line in lines:
        if line.startswith(":::MLLOG "):
            entry = json.loads(line.removeprefix(":::MLLOG "))
            said[entry["key"]] = entry["value"]
    try:
        latency = {share: said[f"result_{share}.00_percentile_latency_ns"] / 1e9 for share in (50, 90, 99)}
        return Outcome(
            said["result_validity"] == "VALID", said.get("result_query_count", 0), latency[50], latency[90],
            latency[99], said["result_mean_latency_ns"] / 1e9,
            said.get("result_completed_samples_per_sec", said.get("result_samples_per_second")), batches,
            " ".join(f"{said.get('result_invalid_reason', '')} {said.get('early_stopping_result', '')}".split()))
    except KeyError as error:
        raise CannotRun(f"the load generator ended without a result: its log has no {error}") from None


def carried(limit_s: float, samples: int) -> float:
    """The highest rate at which the generator, its queue and Python take a tenth of the limit at most at p99, with a
    system that does nothing: doubled from 500 queries a second on, 16,000 at most. 0 where not even that one holds.

    What they take beside a model that computes may be more: both then ask for Python's lock.
    """
    rate, held = _CARRIED_FROM, 0.0
    while rate <= _CARRIED_TO and any(_holds_nothing(rate, limit_s, samples) for _ in range(_CARRIED_TRIES)):
        held, rate = rate, 2 * rate
    return held


def _holds_nothing(rate: float, limit_s: float, samples: int) -> bool:
    load = Load("Server", rate, limit_s, least_s=0.25)
    found = drive(load, samples, Policy(), [1] * samples, lambda batch: None)
    return found.p99_s <= _CARRIED_SHARE * limit_s and found.samples_per_s > 0.9 * rate
