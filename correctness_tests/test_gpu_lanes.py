"""Steps of `scripts/gpu.sh` side by side: while one measures, the others are stopped."""

import re

from gpu_steps import SESSION, code

WORKS = r"""
import os, sys, time
from pathlib import Path
from eagerbench.machine import quiet
name, log = sys.argv[1], Path(sys.argv[2])
def note(what):
    with log.open("a") as lines:
        lines.write(f"{name} {what} {time.monotonic()}\n")
note("begins")
for _ in range(3):
    with quiet.alone():
        note("measures")
        end = time.monotonic() + 0.25
        while time.monotonic() < end:
            note("in")
            time.sleep(0.005)
        note("measured")
    for _ in range(20):
        note("out")
        time.sleep(0.005)
"""


def test_sessions_run_side_by_side_and_never_while_one_measures(made, tmp_path, capsys):
    """Whatever happens between `measures` and `measured` of one is its own: the others are stopped."""
    log = tmp_path / "log"

    def session(name):
        text = f"import sys; sys.argv[1:] = [{name!r}, {str(log)!r}]\n{WORKS}\n" \
            + SESSION % str(tmp_path / "out" / "steps" / f"{name}.json")
        return code(name, text, shares=True)

    assert made([session(name) for name in "abc"], "--lanes", "3") == 0, capsys.readouterr().out
    lines = [line.split() for line in log.read_text().splitlines()]
    measuring, disturbed, began = None, [], set()
    for name, what, _ in lines:
        began |= {name} if what == "begins" else set()
        if measuring and name != measuring:
            disturbed.append((name, what))
        measuring = name if what == "measures" else None if what == "measured" else measuring
    assert began == set("abc")
    first_end = next(index for index, line in enumerate(lines) if line[1] == "measured")
    assert {line[0] for line in lines[:first_end + 60]} > {lines[first_end][0]}  # they did run side by side
    assert len(disturbed) <= 2  # a line that was on its way when the signal came


def test_a_session_that_dies_while_it_measures_leaves_the_others_awake(made, tmp_path, capsys):
    dies = code("dies", "import os, time\nfrom eagerbench.machine import quiet\ntime.sleep(0.5)\n"
                "with quiet.alone():\n    time.sleep(0.2); os._exit(3)", shares=True)
    written = SESSION % str(tmp_path / "out" / "steps" / "lives.json")
    lives = code("lives", "import time; time.sleep(1.2)" + written, shares=True)
    assert made([dies, lives], "--lanes", "2", "--total", "30") == 1
    said = capsys.readouterr().out
    assert re.search(r"dies +failed +\d+ s  exit code 3", said)
    assert re.search(r"lives +done", said)


def test_a_step_that_shares_nothing_runs_by_itself(made, tmp_path):
    log = tmp_path / "log"
    text = "import time; open(%r, 'a').write('%s '); time.sleep(0.4); open(%r, 'a').write('/%s ')"

    def step(name, shares):
        written = SESSION % str(tmp_path / "out" / "steps" / f"{name}.json")
        return code(name, text % (str(log), name, str(log), name) + written, shares=shares)

    assert made([step("a", True), step("own", False), step("b", True)], "--lanes", "3") == 0
    assert log.read_text().split() == ["a", "/a", "own", "/own", "b", "/b"]


def test_what_is_timed_outside_leaves_out_its_pauses(monkeypatch, tmp_path):
    """A build that another session stopped for 3 s, and one of its own measuring, which stops nothing of it."""
    import os
    import time

    from eagerbench.machine import quiet

    now = time.perf_counter()
    monkeypatch.setattr(quiet.time, "perf_counter", lambda: now)
    assert quiet.elapsed(now - 10) == 10
    monkeypatch.setenv(quiet.VARIABLE, str(tmp_path))
    assert quiet.elapsed(now - 10) == 10
    other = os.getpgrp() + 1
    (tmp_path / "pauses").write_text(f"{other} {now - 12} {now - 9}\n{other} {now - 5} {now - 3}\n"
                                     f"{os.getpgrp()} {now - 2} {now - 1}\n")
    assert abs(quiet.elapsed(now - 10) - 7) < 1e-6
    quiet.start(tmp_path)
    assert quiet.elapsed(now - 10) == 10


def test_a_pause_is_noted_before_the_stopped_one_wakes(monkeypatch, tmp_path):
    from eagerbench.machine import quiet

    monkeypatch.setenv(quiet.VARIABLE, str(tmp_path))
    quiet.note(tmp_path, [99999999])
    sent = []
    monkeypatch.setattr(quiet, "send", lambda groups, number: sent.append(
        (list(groups), number, (tmp_path / "pauses").exists())))
    with quiet.alone():
        pass
    assert sent == [([99999999], quiet.signal.SIGSTOP, False), ([99999999], quiet.signal.SIGCONT, True)]
