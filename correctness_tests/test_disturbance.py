"""Disturbed turns: what is read, what follows from it, and that a case is taken again. No test asks for a time."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import fake_timing
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import run_pytest

from eagerbench.machine import readings
from eagerbench.machine.readings import Counters, Reading
from eagerbench.measuring import disturbance, timing, turns
from eagerbench.measuring.disturbance import (
    ACCEPT,
    MOST_LOST,
    MOST_REPEATS,
    Conditions,
    Turn,
    Watch,
    between,
    busy,
    disturbed,
)


@pytest.fixture(autouse=True)
def nothing_is_accepted(monkeypatch):
    monkeypatch.delenv(ACCEPT, raising=False)


QUIET = Turn(0, 10, 0.1, waited_s=0.001, own_s=0.19)
TAKEN = replace(QUIET, waited_s=0.06, others_s=0.09)


def case(*turns: Turn) -> list[Turn]:
    return [replace(turn, pair=index // 2) for index, turn in enumerate(turns)]


def test_a_core_that_is_taken_makes_a_case_unusable():
    quiet, taken = Conditions(case(*[QUIET] * 12)), Conditions(case(*[TAKEN] * 12), repeats=2)
    assert quiet.reason == ""
    assert quiet.record().usable is True
    assert taken.record().usable is False
    assert taken.reason == ("6 of 6 turns disturbed, also when measured again 2 times: other processes kept 0.9 cores "
                            "busy; its threads waited 60% of the time for a core")
    assert quiet.record().unusable_reason is None


@pytest.mark.parametrize(("hit", "pairs", "verdict"), [(0, 10, False), (1, 10, False), (2, 10, True), (1, 5, True),
                                                       (1, 3, True), (1, 1, True), (3, 40, False)])
def test_a_median_of_pairs_stands_a_few_disturbed_ones(hit, pairs, verdict):
    turns = case(*[QUIET, TAKEN] * hit, *[QUIET, QUIET] * (pairs - hit))
    assert disturbed(turns) is verdict


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1)), min_size=2, max_size=40))
def test_more_waiting_never_makes_a_case_usable(found):
    turns = case(*(replace(QUIET, waited_s=waited / 10, stolen_s=stolen / 10) for waited, stolen in found))
    worse = [replace(turn, waited_s=turn.waited_s + 0.02) for turn in turns]
    assert disturbed(worse) >= disturbed(turns)
    assert disturbed(case(*[replace(QUIET, waited_s=0.1 * (MOST_LOST + 0.01))] * len(turns)))


@pytest.mark.parametrize(("turn", "words"), [
    (replace(QUIET, stolen_s=0.03), "a hypervisor took 30% of a core"),
    (replace(QUIET, rounds=4, pauses=1, waited_s=0.05, paused_s=0.05), "the CPU quota of this control group"),
    (replace(TAKEN, others_s=0.0), "its own threads or short-lived processes")])
def test_the_reason_names_the_cause(turn, words):
    assert words in Conditions(case(*[turn] * 4)).reason


def test_a_quota_that_pauses_few_of_many_short_calls_leaves_their_median():
    """Half a core, calls of 0.4 ms: a pause is in one of 125. With calls of 30 ms it is in every other one."""
    short = replace(QUIET, rounds=125, pauses=1, waited_s=0.05, paused_s=0.05)
    assert not disturbed(case(*[short] * 6))
    assert disturbed(case(*[replace(short, rounds=3)] * 6))


def test_a_turn_is_what_lies_between_two_readings():
    before = Reading(1.0, 0.5, 2.0, 7, 10.0, 0.0, 1, 0.25)
    after = Reading(1.25, 0.55, 2.4, 9, 10.6, 0.05, 2, 0.3)
    turn = between(before, after, 3, 8)
    assert (turn.pair, turn.rounds, turn.switches, turn.pauses) == (3, 8, 2, 1)
    assert (turn.seconds, turn.waited_s, turn.own_s, turn.others_s, turn.stolen_s, turn.paused_s) == pytest.approx(
        (0.25, 0.05, 0.4, 0.2, 0.05, 0.05))


def test_counters_are_read_from_the_kernel_s_files(tmp_path):
    for thread, waited in ((1, 5_000_000), (2, 2_000_000_000)):
        (tmp_path / f"self/task/{thread}").mkdir(parents=True)
        (tmp_path / f"self/task/{thread}/schedstat").write_text(f"1 {waited} 3\n")
    (tmp_path / "self/task/3").mkdir()  # a thread that has just ended
    tick = os.sysconf("SC_CLK_TCK")
    ours = " ".join(map(str, (tick, tick, tick, 9, 9, tick, tick, 3 * tick, 0, 0)))
    (tmp_path / "stat").write_text(f"cpu 1 1 1 1 1 1 1 1 0 0\ncpu0 {ours}\ncpu1 {9 * tick} 0 0 0 0 0 0 0 0 0\nintr 1\n")
    (tmp_path / "cpu.stat").write_text("nr_periods 9\nnr_throttled 4\nthrottled_usec 2500000\n")
    (tmp_path / "v1.stat").write_text("nr_periods 9\nnr_throttled 2\nthrottled_time 500000000\n")
    found = Counters(tmp_path, [0], [tmp_path / "cpu.stat", tmp_path / "v1.stat"]).read()
    assert (found.waited_s, found.busy_s, found.stolen_s) == (2.005, 5.0, 3.0)
    assert (found.pauses, found.paused_s) == (4, 2.5)


def test_a_system_without_these_files_disturbs_nothing(tmp_path):
    found = Counters(tmp_path, [0], []).read()
    assert (found.waited_s, found.busy_s, found.stolen_s, found.pauses) == (0.0, 0.0, 0.0, 0)


def test_a_thread_that_spins_is_waited_for(monkeypatch):
    """A real one: its processor time would not show before the kernel's next tick."""
    over = threading.Event()
    spinner = threading.Thread(target=lambda: [hashlib.sha256(bytes(2**20)) for _ in iter(over.is_set, True)])
    spinner.start()
    try:
        assert any(readings.other_threads_running() for _ in range(1000))
    finally:
        over.set()
        spinner.join()
    states = iter([2, 1, 0, 9])
    clock = fake_timing.install(monkeypatch)
    monkeypatch.setattr(turns, "other_threads_running", lambda: next(states))
    turns.settle()
    assert next(states) == 9
    monkeypatch.setattr(turns, "other_threads_running", lambda: 1)
    before = clock.now
    turns.settle()
    assert clock.now - before == pytest.approx(turns.MOST_SETTLE_S, abs=0.002)


def test_load_before_the_start_is_said_where_it_is_in_the_way():
    found = iter([Reading(0.0, busy_s=1.0, own_s=1.0), Reading(0.25, busy_s=1.235, own_s=1.01)])
    others = readings.others_cores(type("Two", (), {"read": lambda _: next(found)})(), lambda _: None)
    assert others == pytest.approx(0.9)
    assert busy(others, cores=2, threads=2).startswith("other processes keep 0.9 of 2 cores busy")
    assert busy(others, cores=2, threads=1) is None  # a core is left
    assert busy(0.1, cores=2, threads=2) is None


def attempts(monkeypatch, *disturbed_ones: bool):
    """Time a case whose first, second, … attempt is disturbed or not; what timing left, and the fixture."""
    clock = fake_timing.install(monkeypatch)
    started = iter(disturbed_ones)

    class Told(Watch):
        def __init__(self):
            super().__init__(lambda: Reading(clock.now))
            self._waited = 0.5 if next(started) else 0.0

        def after_turn(self, side, pair, rounds):
            super().after_turn(side, pair, rounds)
            self.turns[-1] = replace(self.turns[-1], waited_s=self._waited * self.turns[-1].seconds)

    monkeypatch.setattr(timing, "Watch", Told)
    made = fake_timing.benchmark(clock)
    return timing.time_against(made, clock.taking(0.02), clock.taking(0.03), 2.0), made


@pytest.mark.parametrize(("those", "repeats", "usable"), [
    ([False], 0, True), ([True, False], 1, True), ([True, True, False], 2, True), ([True] * 3, MOST_REPEATS, False)])
def test_a_disturbed_case_is_taken_again_twice_at_most(monkeypatch, those, repeats, usable):
    found, made = attempts(monkeypatch, *those)
    assert (found.conditions.repeats, found.conditions.record().usable) == (repeats, usable)
    assert len(found.rounds) == sum(found.turns.variant_turns)  # of the last attempt alone
    assert found.rounds == pytest.approx([0.02] * len(found.rounds))
    assert len(found.conditions.turns) == 2 * len(found.turns.variant_turns)
    assert made.saved == [made.stats]
    assert not made.has_error
    assert found.conditions.overrun == ""


def test_rounds_alone_are_watched_too(monkeypatch):
    clock = fake_timing.install(monkeypatch)
    monkeypatch.setattr(timing, "Watch", lambda: Watch(lambda: Reading(clock.now, waited_s=clock.now / 2)))
    made = fake_timing.benchmark(clock)
    found = timing.time_alone(made, clock.taking(0.03), 1.0, 10)
    assert [turn.rounds for turn in found.conditions.turns] == [4, 4, 2]
    assert found.conditions.repeats == MOST_REPEATS
    assert len(found.rounds) == 10
    unasked = timing.time_alone(fake_timing.benchmark(clock), clock.taking(0.03), 1.0, 10, again=False)
    assert unasked.conditions.repeats == 0


def test_tests_of_the_suite_itself_accept_what_disturbs_them(monkeypatch):
    monkeypatch.setenv(ACCEPT, "accept")
    record = Conditions(case(*[TAKEN] * 4)).record()
    assert (record.usable, record.disturbance_accepted, record.unusable_reason) == (True, True, None)
    found, _ = attempts(monkeypatch, True)
    assert found.conditions.repeats == 0


def test_conditions_of_every_kind_fit_their_type():
    for conditions in (Conditions(case(*[QUIET] * 4)), Conditions(case(*[TAKEN] * 4), 2, "ended after 1 of 3"),
                       Conditions([])):
        made = conditions.record()
        assert msgspec.convert(msgspec.to_builtins(made), type(made)) == made


def test_thresholds_stand_in_one_place():
    """The header, the verdict and the planning take theirs from here."""
    assert {name for name in vars(disturbance) if name.isupper()} == {
        "TICK_S", "ACCEPT", "MOST_LOST", "MOST_PAUSED", "MOST_PAIRS", "BUSY_CORES", "MOST_REPEATS", "OVERRUN"}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the counters are Linux's")
def test_beside_a_busy_core_nothing_wrong_is_said(tmp_path, monkeypatch):
    """A whole session with every core taken: each case is unusable or as it is without."""
    monkeypatch.setenv(ACCEPT, "no")
    from eagerbench.measuring.busy import verdict
    from eagerbench.results.older import flat
    from eagerbench.results.records import unusable

    cores = sorted(os.sched_getaffinity(0))
    busy_ones = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in cores]
    file = tmp_path / "run.json"
    try:
        ended = run_pytest("perf_tests/test_latency.py", "--benchmark-only", "--model", "tiny-bert", "--variant",
                           "eager", "--batch-sizes", "4", "--sequence-lengths", "64", "--benchmark-json", str(file))
    finally:
        for process in busy_ones:
            process.kill()
            process.wait()
    assert "cores busy: cases that they disturb" in ended.out
    records = [flat(bench["extra_info"]) for bench in json.loads(file.read_text())["benchmarks"]]
    assert {verdict(record, 1.0) for record in records} <= {"unusable", "right", "says nothing", "within its interval"}
    if all(map(unusable, records)):
        assert ended.code == 1
        assert "Fastest of all" not in ended.out
