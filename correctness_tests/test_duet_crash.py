"""A side that is lost at one benchmark costs that benchmark: the pair's others run, and the gate names it."""

import json
import subprocess
import sys

import pytest
from fake_suites import GOOD, left_of, quick, suite

from eagerbench.gate import judge
from eagerbench.gate.duet_lost import MOST_SILENT, TRIES, Lost, one_by_one
from eagerbench.gate.duet_sessions import Sessions
from eagerbench.gate.duet_side import SideFailed

BAD = '''
    @pytest.mark.bench_id("bad")
    def test_bad(timed):
        {deed}
        timed(work)

    @pytest.mark.bench_id("worse")
    def test_worse(timed):
        {other}
        timed(work)

    @pytest.mark.bench_id("last")
    def test_last(timed):
        timed(work)
'''
CHILD = "subprocess.Popen(['sleep', '99'], start_new_session=True); "
CRASH = "import ctypes; ctypes.string_at(0)"
IN_A_CALL = "calls = iter(range(6)); timed(lambda: next(calls, None) is None and os.abort()); return"


def bad(deed: str = "pass", other: str = "pass") -> str:
    import textwrap

    return GOOD + textwrap.dedent(BAD).format(deed=deed, other=other)


@pytest.fixture
def crashing(tmp_path):
    def made(*head: str, base: tuple = ()):
        return suite(tmp_path / "one", bad(*base)), suite(tmp_path / "two", bad(*head))

    return made


def test_two_crashes_cost_two_benchmarks(duet, crashing):
    """A segmentation fault before its first call, with a child in a session of its own; an abort in a timed call."""
    ended, content = duet(*crashing(CHILD + CRASH, IN_A_CALL))
    (pair,) = content["pairs"]
    assert (ended.code, pair["valid"], pair["reason"]) == (0, True, ""), ended.err
    assert list(pair["benchmarks"]) == ["good", "last"]
    assert pair["failed"].keys() == {"bad", "worse"}
    assert pair["failed"]["bad"].startswith("head was killed by SIGSEGV at bad (Segmentation fault in string_at (")
    assert pair["failed"]["worse"].startswith("head was killed by SIGABRT at worse")
    assert pair["restarts"] == 2
    for reason in pair["failed"].values():
        assert reason in ended.err


@pytest.mark.slow
@pytest.mark.parametrize(("deed", "reason"), [
    ("os._exit(0)", "head ended with status 0 at bad"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "head was killed by SIGKILL at bad"),
    ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); time.sleep(99)", "head was silent for 10 s at bad"),
    ("os.kill(os.getpid(), signal.SIGSTOP)", "head was silent for 10 s at bad"),
    ("sys.stdout.buffer.write(bytes(range(256)) * 999); os.abort()", "head was killed by SIGABRT at bad"),
])
@pytest.mark.parametrize("design", ["turns", "abba"])
def test_every_way_to_be_lost_costs_one_benchmark(duet, crashing, deed, reason, design):
    ended, content = duet(*crashing(CHILD + deed), "--time-out", 10 if "silent" in reason else 60, "--design", design)
    (pair,) = content["pairs"]
    assert ended.code == 0, ended.err
    assert list(pair["benchmarks"]) == ["good", "worse", "last"]
    assert list(pair["failed"]) == ["bad"]
    assert pair["failed"]["bad"].startswith(reason)


@pytest.mark.slow
def test_the_gate_fails_where_head_alone_crashes(crashing, tmp_path):
    """Head crashes at one benchmark, both at another: only the first is head's fault. After two pairs neither is tried
    again."""
    base, head = crashing(CRASH, IN_A_CALL, base=("pass", IN_A_CALL))
    directory = tmp_path / "gate"
    ended = subprocess.run([sys.executable, "-m", "eagerbench", "gate", "--base", base, "--head", head, "--turns", "2",
                            "--directory", directory], cwd=tmp_path, capture_output=True, text=True, check=False,
                           env=quick(tmp_path / "tmp"))
    assert left_of(tmp_path / "tmp") == []
    assert ended.returncode == 4, ended.stdout + ended.stderr
    verdict = json.loads((directory / "verdict.json").read_text())
    assert (verdict["outcome"], verdict["broken"]) == ("BROKEN", ["bad"])
    assert {entry["id"] for entry in verdict["benchmarks"]} >= {"good", "last"}
    assert "Head lacks results that base has: bad: not tried in this pair: head was killed by SIGSEGV" in \
        " ".join(ended.stdout.split())
    pairs = [pair for pair in verdict["duets"][0]["pairs"] if pair["arm"] == "head"]
    assert all(pair["valid"] for pair in pairs)
    assert [pair.get("restarts", 0) for pair in pairs] == [2] * TRIES + [0] * (len(pairs) - TRIES)
    assert all("base was killed by SIGABRT at worse" in pair["failed"]["worse"] for pair in pairs)


def test_a_failure_of_base_alone_is_no_fault_of_head():
    reason = "head was killed by SIGSEGV at b"
    fails = "base was killed by SIGSEGV at b"
    for base, expected in (("", reason), (fails, f"{fails}; {reason}")):
        lost = Lost()
        for _ in range(TRIES):
            found = Sessions(failed={"b": reason}, lost={"b": reason})
            assert lost.given_up("head") == {}
            lost.note("head", found, lambda bench_id, base=base: base)
            assert found.failed == {"b": expected}
        assert lost.given_up("head") == {"b": f"not tried in this pair: {expected}"}
        assert lost.given_up("null") == {}
        pairs = [{"arm": "head", "failed": found.failed}, {"arm": "head", "failed": found.failed},
                 {"arm": "head", "failed": lost.given_up("head")}]
        assert judge._broken([{"pairs": pairs}]) == ([] if base else ["b"])


def test_sides_that_are_silent_again_and_again_end_the_pair():
    """Each costs the whole time-out; one that dies costs nothing but its start."""
    found, over = Sessions(), set()

    def sessions(over):
        over.add(len(over))
        return SideFailed(f"head was silent for 600 s at {len(over)}", silent=True)

    with pytest.raises(SideFailed, match=f"at {MOST_SILENT}"):
        one_by_one(sessions, over, found)
    deaths = iter([SideFailed("head was killed by SIGSEGV at b")] * 9)
    one_by_one(lambda over: next(deaths, None), set(), found := Sessions())
    assert found.restarts == 9
