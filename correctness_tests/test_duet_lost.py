"""Duets that lose a side or are ended: each pair has its reason, and nothing is left of them."""

import signal
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from fake_suites import CONFTEST, GOOD, command, left_of, quick, suite

from eagerbench.gate.duet_agree import agree
from eagerbench.gate.duet_sessions import Plan, Sessions
from eagerbench.gate.duet_side import Checkout, SideFailed

LOST = {
    "dies": ("os._exit(3)", "head ended with status 3 at bad"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "head was killed by SIGKILL at bad"),
    "hangs": ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); time.sleep(99)",
              "head was silent for 10 s at bad"),
    "stopped": ("os.kill(os.getpid(), signal.SIGSTOP)", "head was silent for 10 s at bad"),
    "garbage": ("channel.sendall(bytes(range(200, 256)) + b'\\n')", "head sent garbage at bad: b'\\xc8"),
    "no-object": ("channel.sendall(b'[1]\\n')", "head sent garbage at bad"),
    "other-words": (
        "channel.sendall(b'{\"kind\": \"turn\"}\\n')", "head sent \"{'kind': 'turn'}\" where 'ready' was due at bad"),
    "endless": ("channel.sendall(b'x' * 5 * 2**20)", "head sent a message without an end at bad"),
    "not-a-time": ("channel.sendall(b'{\"kind\": \"ready\"}\\n{\"kind\": \"warm\", \"call_s\": NaN}\\n')",
                   "head sent garbage: nan seconds"),
    "closes": ("channel.shutdown(2); time.sleep(99)", "head closed its channel at bad"),
}


QUICK = ("killed", "garbage", "not-a-time")  # a side that is gone, one that says what is no message, and no time


@pytest.mark.parametrize("how", [how if how in QUICK else pytest.param(how, marks=pytest.mark.slow) for how in LOST])
def test_lost_side_ends_its_pair_with_a_reason(duet, tmp_path, how):
    """A child in a session of its own does not outlive it either."""
    deed, reason = LOST[how]
    bad = '''
    @pytest.mark.bench_id("bad")
    def test_bad(timed, channel):
        {deed}
        timed(work)
    '''
    child = "subprocess.Popen(['sleep', '99'], start_new_session=True); "
    base = suite(tmp_path / "one", bad.format(deed="pass"))
    head = suite(tmp_path / "two", bad.format(deed=child + deed))
    # Starting up has to fit in as well, on a machine with much else to do.
    ended, content = duet(base, head, "--time-out", 10 if "silent" in reason else 60)
    (pair,) = content["pairs"]
    assert ended.code == 3
    assert not pair["valid"]
    assert reason in pair["reason"]
    assert reason in pair["failed"]["bad"]
    assert reason in ended.err


def test_crash_at_the_end_is_no_pass(duet, tmp_path):
    head = suite(tmp_path / "two")
    (head / "conftest.py").write_text(CONFTEST + """
def pytest_sessionfinish():
    import os, signal
    os.kill(os.getpid(), signal.SIGSEGV)
""")
    _, content = duet(suite(tmp_path / "one"), head)
    assert content["pairs"][0]["reason"].startswith("head was killed by SIGSEGV after its last benchmark")


def test_unlike_sides_are_no_pair(duet, tmp_path):
    """Threads differ: two such pairs end the run. And a pytest that cannot start."""
    base, head = suite(tmp_path / "one"), suite(tmp_path / "two")
    conftest = (head / "conftest.py").read_text()
    (head / "conftest.py").write_text(conftest.replace("threads=1", "threads=2"))
    ended, content = duet(base, head, pairs=5)
    assert ended.code == 3
    assert "given up" in ended.err
    assert [pair["reason"] for pair in content["pairs"]] == ["head: threads is 2 and 1 on the other side"] * 2
    (head / "conftest.py").write_text("import nothing_of_that_name\n" + conftest)
    _, content = duet(base, head)
    assert "head ended with status 4 before its first benchmark" in content["pairs"][0]["reason"]
    assert "nothing_of_that_name" in content["pairs"][0]["reason"]


class Told:
    """A side that has said this at its start."""

    def __init__(self, name: str, **facts):
        machine = {"threads": 1, "allocator": "pinned"}
        self.name = name
        self._hello = {"ids": ["good"], "facts": {"machine_info": machine, "code": "/code", **facts}}

    def hear(self, kind):
        return self._hello

    def send(self, kind, **content): ...


@pytest.mark.parametrize(("base", "head", "only", "reason"), [
    ({}, {"allocator": "system (pin failed: musl)"}, (), "head: allocator system .pin failed: musl., not pinned; pin"),
    ({"unknown_variants": ["sdppa"]}, {"unknown_variants": ["sdppa"]}, (), "neither side has a variant sdppa"),
    ({}, {"hash_seed": "1"}, (), "head: hash_seed is 1 and None on the other side"),
    ({}, {"code": "/other"}, (), "head imports the project from /other, not from /code"),
    ({}, {}, ("goood",), "neither side has the benchmark goood"),
    ({"unknown_variants": ["sdppa"]}, {}, ("good",), None)])
def test_what_makes_sides_unlike(tmp_path, base, head, only, reason):
    plan = Plan([], only, "pinned", 0, "turns", 1, 1.0, tmp_path)
    places = [Checkout(name, Path("/code"), "python") for name in ("base", "head")]
    sides = [Told("base", **base), Told("head", **head)]
    with pytest.raises(SideFailed, match=reason) if reason else nullcontext():
        assert agree(plan, places, sides, None, Sessions(), ()) == ["good"]


@pytest.mark.slow  # test_what_makes_sides_unlike has what the controller makes of it
def test_sides_without_the_variant_or_the_allocator_are_no_pair(duet, tmp_path):
    base, head = suite(tmp_path / "one"), suite(tmp_path / "two")
    conftest = (head / "conftest.py").read_text()
    for side in (base, head):
        strange = "def pytest_configure(config):\n    config.option.unknown_variants = ['sdppa']"
        (side / "conftest.py").write_text(conftest.replace("def pytest_configure(config):", strange))
    _, content = duet(base, head)
    assert "neither side has a variant sdppa" in content["pairs"][0]["reason"]
    (base / "conftest.py").write_text(conftest)
    (head / "conftest.py").write_text(conftest.replace("config.option.allocator)", "'system (pin failed: musl)')"))
    _, content = duet(base, head)
    assert "head: allocator system (pin failed: musl), not pinned" in content["pairs"][0]["reason"]


@pytest.mark.parametrize("number", [
    pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM,
    pytest.param(signal.SIGHUP, marks=pytest.mark.slow), signal.SIGKILL])
def test_ended_by_a_signal(tmp_path, number):
    """In the middle of a turn, one side stopped. SIGKILL leaves no process either; the next start clears up."""
    slow = '''
    @pytest.mark.bench_id("slow")
    def test_slow(timed):
        def call():
            pathlib.Path(os.environ["SIGN"], pathlib.Path.cwd().name).touch()
            time.sleep(0.2)
        timed(call)
    '''.replace("\n    ", "\n") + GOOD
    repository, scratch, sign = suite(tmp_path / "one", slow), tmp_path / "tmp", tmp_path / "sign"
    sign.mkdir()
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=repository, check=True)
    options = ("--base", "HEAD", "--head", "HEAD")
    more = ("--pairs", 1, "--null-pairs", 1, "--turns", 99)
    with subprocess.Popen(command(*options, *more, output=tmp_path / "duet.json"), cwd=repository,
                          stderr=subprocess.PIPE, preexec_fn=_heed_every_signal,
                          env={**quick(scratch), "SIGN": str(sign)}, text=True) as process:
        _until(lambda: len(list(sign.iterdir())) == 2)
        process.send_signal(number)
        err = process.communicate(timeout=60)[1]
    if number == signal.SIGKILL:
        _until(lambda: all(isinstance(left, Path) for left in left_of(scratch)))
        subprocess.run(command(*options, "--pairs", 1, "--null-pairs", 0, "--only", "good",
                               output=tmp_path / "duet.json"), cwd=repository, env=quick(scratch), check=True,
                       capture_output=True)
    else:
        assert process.returncode == 128 + number
        assert f"ended by {number.name}" in err
    assert left_of(scratch) == []
    worktrees = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    assert len(worktrees.stdout.splitlines()) == 1


def _heed_every_signal() -> None:
    """Under nohup SIGHUP, in a background job SIGINT, is ignored, and a child inherits that."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
