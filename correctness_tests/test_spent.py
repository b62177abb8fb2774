"""Where the time of a session and of a duet's pairs went: every second once, typed, and shown."""

import contextlib

import pytest

from eagerbench.isolation import journal
from eagerbench.machine.spent import PARTS, Account
from eagerbench.results import spent, summary
from eagerbench.results.grid import as_text


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_every_second_belongs_to_the_innermost_part():
    clock = Clock()
    account = Account("starting", -2.0, clock)
    clock.now = 1.0
    account.enter("building")
    clock.now = 2.0
    with account.during("opening"):
        clock.now = 4.0
        with contextlib.suppress(ValueError), account.during("building"):
            clock.now = 8.0
            raise ValueError
        account.enter("judging")  # of what follows behind `opening`
        clock.now = 9.0
    clock.now = 10.0
    found = account.seconds()
    assert {name: value for name, value in found.items() if value} == {
        "starting": 3.0, "building": 1.0 + 4.0, "opening": 2.0 + 1.0, "judging": 1.0}
    assert sum(found.values()) == 12.0
    assert found.keys() == PARTS.keys()


def test_an_unknown_part_is_a_mistake():
    with pytest.raises(KeyError):
        Account("a part of nothing", 0.0, Clock()).seconds()


def test_seconds_of_several_processes_are_added_by_part():
    one = {"wall_s": 2.0, "measured_s": 1.0, "spent": {"starting": 1.0, "timing": 1.5}}
    other = {"wall_s": 3.0, "measured_s": 0.5, "spent": {"starting": 1.0, "building": 0.25}}
    both = {"wall_s": 5.0, "measured_s": 1.5, "spent": {"starting": 2.0, "timing": 1.5, "building": 0.25}}
    assert journal.added([one, other]) == both
    assert journal.added([{"wall_s": 2.0, "measured_s": 1.0}]) == {"wall_s": 2.0, "measured_s": 1.0}  # an older file
    odd = {"wall_s": "2", "measured_s": float("nan"), "spent": {"timing": None, "starting": -1.0}}
    assert journal.added([one, odd]) == one


def content(**session) -> dict:
    return {"benchmarks": [], "eagerbench": {"cells": [], "session": {"wall_s": 4.0, "measured_s": 1.0, **session}}}


def test_the_table_has_the_longest_first_and_all_together():
    _, session, problems = summary.planned(content(spent={"starting": 1.0, "timing": 2.96, "saving": 0.04}))
    assert problems == []
    table, = spent.of_session(session)
    assert table.rows == [[PARTS["timing"], "3.0", "74%"], [PARTS["starting"], "1.0", "25%"], ["all", "4.0", ""]]
    assert PARTS["timing"] in as_text([table], 100, False)


@pytest.mark.parametrize("wrong", [7, {"timing": "2"}, {"timing": -1.0}, {"timing": 1e10}, {"timing": {}}])
def test_what_is_no_seconds_is_left_out_and_said(wrong):
    _, session, problems = summary.planned(content(spent=wrong))
    assert [line.partition(":")[0] for line in problems] == ["eagerbench.session.spent"]
    assert session["wall_s"] == 4.0
    assert spent.of_session(session) == []


def test_older_files_have_no_table():
    _, session, problems = summary.planned(content())
    assert (spent.of_session(session), spent.side_by_side([session]), problems) == ([], [], [])


def test_several_files_stand_side_by_side():
    rows = spent.side_by_side([{"spent": {"timing": 2.0, "saving": 0.01}}, {}, {"spent": {"building": 3.0}}])
    assert rows == [[PARTS["building"], "–", "–", "3.0"], [PARTS["timing"], "2.0", "–", "–"],
                    ["all", "2.0", "–", "3.0"]]


def test_a_gate_shows_the_mean_of_its_sides():
    pairs = [{"seconds": 90.0, "spent": {"base": {"timing": 1.0, "waiting": 3.0}, "head": {"timing": 3.0}}},
             {"seconds": 30.0, "spent": {"base": {}}}, {}]  # a side older than this, and an older file
    table, = spent.of_pairs(pairs)
    assert table.rows == [[PARTS["timing"], "2.0", "57%"], [PARTS["waiting"], "1.5", "43%"], ["all", "3.5", ""]]
    assert "the mean of 2; all pairs together took 2.0 minutes" in table.note
    assert spent.of_pairs([{}]) == []
