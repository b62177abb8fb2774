"""A plan that its calls do not keep: turns are planned anew, a case ends early, and says so. By a clock of our own."""

import json
import socket

import fake_timing
import pytest
from fake_suites import suite

from eagerbench.gate import duet_pair
from eagerbench.machine.readings import Reading
from eagerbench.measuring import partner as partner_module
from eagerbench.measuring import recording, timing, turns
from eagerbench.measuring.disturbance import OVERRUN, Watch

SLOW_AFTER = 2000  # calls: past the warm-up, within the turns


@pytest.fixture
def clock(monkeypatch):
    made = fake_timing.install(monkeypatch)
    monkeypatch.setattr(timing, "Watch", lambda: Watch(lambda: Reading(made.now)))
    return made


@pytest.mark.parametrize("factor", [20, 300, 3000])
@pytest.mark.parametrize("slow", ["variant", "reference", "both"])
def test_calls_that_become_slow_end_the_case(clock, factor, slow):
    """Planned for half a second; by the plan alone it would take minutes."""
    budget_s, call_s = 0.5, 1e-4
    calls = {side: [call_s] * (SLOW_AFTER if slow in (side, "both") else 1) + [
        call_s * factor if slow in (side, "both") else call_s] for side in ("variant", "reference")}
    made = fake_timing.benchmark(clock)
    found = timing.time_against(made, clock.taking(*calls["variant"]), clock.taking(*calls["reference"]), budget_s)
    longest_pair_s = 2 * (0.1 + 2 * call_s * factor) * OVERRUN
    assert clock.now < budget_s * (1 + OVERRUN) + longest_pair_s
    assert len(found.rounds) == sum(found.turns.variant_turns)
    assert len(found.turns.variant_turns) == len(found.turns.reference_turns) >= 1
    assert not made.has_error
    kept = len(found.turns.variant_turns) == found.turns.schedule.pairs and not found.turns.replanned
    assert kept == (found.conditions.overrun == "")
    assert kept == (found.conditions.record().overrun is None)
    if slow != "reference":
        assert "planned" in found.conditions.overrun


def test_a_plan_that_is_kept_says_nothing(clock):
    found = timing.time_against(fake_timing.benchmark(clock), clock.taking(1e-3), clock.taking(2e-3), 0.5)
    assert found.conditions.overrun == ""
    assert found.conditions.record().overrun is None


def test_turns_are_planned_anew_by_what_calls_take_now(clock):
    slower = clock.taking(*[1e-3] * 400, 8e-3)
    found = timing.time_against(fake_timing.benchmark(clock), slower, clock.taking(1e-3), 2.0)
    assert found.turns.replanned == 1
    assert found.turns.variant_turns[-1] in range(10, 20)
    assert "1 turn planned again" in found.conditions.overrun


@pytest.mark.parametrize("rounds", [None, 5])
def test_rounds_alone_end_early(clock, rounds):
    """With as many rounds as fit the budget, and with a fixed number, as corpus, generation and memory take them."""
    made = fake_timing.benchmark(clock)
    steady = [1e-3] * 400 if rounds is None else [0.1, 0.1]
    found = timing.time_alone(made, clock.taking(*steady, 30.0), 0.5, rounds)
    assert clock.now < 0.5 * (1 + OVERRUN) + 30
    assert found.rounds[-1] == pytest.approx(30.0)
    assert found.result == len(steady) + 1
    assert "planned" in found.conditions.overrun


def test_long_calls_alternate_one_by_one():
    """Without the untimed call before each turn; short ones fill their turns as ever."""
    long, short = turns.schedule_of_pairs(2.0, 3.0, 5), turns.schedule_of_pairs(0.01, 0.03, 4)
    assert (long.pairs, long.rounds_per_turn, long.touch, long.seconds) == (5, 1, False, 25.0)
    assert (short.pairs, short.touch) == (4, True)
    assert short.rounds_per_turn == turns.schedule(0.01, 0.03, 0.0).rounds_per_turn


@pytest.mark.parametrize("call_s", [0.01, 1.0])
def test_pairs_are_as_many_as_asked_for(clock, call_s):
    """Every call is accounted for, and those of the timed rounds are told apart from the untimed ones."""
    call = clock.taking(call_s)
    numbers = []
    found = timing.time_pairs(fake_timing.benchmark(clock), lambda: numbers.append(call()), clock.taking(2 * call_s), 4,
                              2 * call_s)
    assert len(found.turns.variant_turns) == len(found.turns.reference_turns) == 4
    assert sum(found.turns.variant_turns) == len(found.rounds)
    assert recording.ratio_of(found).value == pytest.approx(2)
    timed = [number for turn in recording.by_turn(numbers, found.turns) for number in turn]
    assert len(timed) == len(found.rounds)
    untimed = set(numbers) - set(timed)
    assert len(untimed) == 1 + (4 if call_s < turns.LONG_S else 0)  # the first call, and one that begins each turn


def test_one_long_round_is_taken_whole(clock):
    """There is nothing to end early."""
    found = timing.time_alone(fake_timing.benchmark(clock), clock.taking(1.0, 90.0), 0.5, 1, again=False)
    assert found.rounds == pytest.approx([90.0])
    assert found.conditions.overrun == ""


def channel(messages: list[dict]):
    """A partner to which a controller has already said everything, and the controller's end."""
    ours, theirs = socket.socketpair()
    ours.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
    return partner_module.Partner(theirs), ours


def said(ours: socket.socket) -> list[dict]:
    ours.setblocking(False)
    return [json.loads(line) for line in ours.recv(2**20).splitlines()]


@pytest.mark.parametrize("flexible", [True, False])
def test_a_side_of_a_duet_ends_a_turn_that_overruns(clock, monkeypatch, flexible):
    """60 rounds a turn were planned by calls of 2 ms, and now take 300: an older controller gets them all."""
    monkeypatch.setattr(partner_module, "time", clock)
    go = [{"kind": "go"}] * 3
    side, ours = channel([{"kind": "plan", "turns": 3, "rounds_per_turn": 60, "may_end_early": flexible}, *go])
    call = clock.taking(0.3)
    monkeypatch.setattr(side, "wait_until_both_are_built", lambda bench_id: None)
    monkeypatch.setattr(timing, "warm_up", lambda call, budget_s: timing.WarmUp(9, 0.1, True, 0.002))
    found = timing.time_in_duet(fake_timing.benchmark(clock), call, side, "b", 0.5)
    taken = len(found.rounds)
    last = said(ours)[-1]
    assert last["kind"] == "timed"
    assert len(last["rounds"]) == sum(last["lengths"]) == taken
    assert len(last["lengths"]) == 3
    assert taken < 20 if flexible else taken == 180


class FakeSide:
    """A side that answers at once; each turn takes `turn_s` on the clock."""

    pid = 0  # no process: nothing places it on cores

    def __init__(self, name: str, clock, turn_s: float, flexible: bool):
        self.name, self._clock, self._turn_s, self._flexible = name, clock, turn_s, flexible
        self.turns, self.told = 0, []

    def stop(self): ...

    resume = stop

    def awake(self):
        import contextlib

        return contextlib.nullcontext()

    def send(self, kind, **content):
        self.told.append(kind)

    def hear(self, kind, bench_id=None):
        if kind == "turn":
            self.turns += 1
            self._clock.now += self._turn_s
        rounds = [0.01] * 12 * self.turns
        return {"warm": {"call_s": 0.01, **({"can_end_early": True} if self._flexible else {})}, "turn": {},
                "timed": {"rounds": rounds, "lengths": [12] * self.turns}}[kind]


@pytest.mark.parametrize(("flexible", "turns"), [((True, True), 1), ((True, False), 8)])
def test_the_controller_has_enough_where_both_sides_can_end_early(clock, monkeypatch, flexible, turns):
    import random

    clock.monotonic = clock.perf_counter
    monkeypatch.setattr(duet_pair, "time", clock)
    sides = [FakeSide(name, clock, 10.0, can) for name, can in zip(("base", "head"), flexible, strict=True)]
    found = duet_pair.Sessions()
    taken = duet_pair._take_turns(sides, "b", random.Random(0), 8, found)
    assert {name: len(medians) for name, medians in taken.items()} == {"base": turns, "head": turns}
    assert ("b" in found.overrun) == (turns < 8)
    assert [side.told[-1] == "enough" for side in sides] == [turns < 8] * 2


@pytest.mark.slow  # the controller's part in it is tested above, with sides that answer at once
def test_a_duet_of_calls_that_become_slow_ends_and_says_so(duet, tmp_path):
    """As real processes: turns of 700 calls were planned, which would take 40 s each at 60 ms."""
    slow = '''
    @pytest.mark.bench_id("slow")
    def test_slow(timed):
        calls = []
        def call():
            calls.append(None)
            time.sleep(0.0001 if len(calls) < 1500 else 0.06)
        timed(call)
    '''
    ended, content = duet(suite(tmp_path / "one", slow), suite(tmp_path / "two", slow), "--turns", 3)
    assert ended.code == 0, ended.err
    found = content["pairs"][0]["benchmarks"]["slow"]
    assert "calls became slower than in the warm-up" in found["overrun"]
    assert found["overrun"] in ended.out + ended.err
