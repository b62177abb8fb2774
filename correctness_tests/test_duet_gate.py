"""`eagerbench gate --base`: the stages, what is left undone, and what GitHub Actions is told."""

import json
import subprocess
import sys

import pytest
from analysis_files import analysis, drawn, saved
from fake_suites import GOOD, left_of, quick, suite

from eagerbench.gate import duet_gate, judge


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "gate").mkdir()
    return tmp_path / "gate"


def test_second_job_has_nothing_to_do_without_suspects(tmp_path, directory, capsys, monkeypatch):
    told = tmp_path / "output"
    monkeypatch.setenv("GITHUB_OUTPUT", str(told))
    saved(directory, "screen.json", drawn(1, {}))
    code, out, _ = analysis(capsys, "gate", "--base", "HEAD", "--stage", "confirm", "--directory", directory)
    assert code == 0
    assert "Gate (tier 1, duet): OK" in out
    assert told.read_text() == "suspects=0\n"
    found = sorted(file.name for file in directory.iterdir())
    assert found == ["report.html", "screen.json", "summary.md", "verdict.json"]


def test_confirming_without_a_screen_is_one_line(directory, capsys):
    code, _, err = analysis(capsys, "gate", "--base", "HEAD", "--stage", "confirm", "--directory", directory)
    assert code == 2
    assert "screen.json" in err
    assert len(err.splitlines()) == 1


def test_neither_files_nor_base_is_one_line(capsys):
    code, _, err = analysis(capsys, "gate")
    assert (code, len(err.splitlines())) == (2, 1)


def test_suspects_that_could_not_be_confirmed_are_not_cleared(capsys, monkeypatch):
    screen, confirm = drawn(1, {"b1": 0.08}), drawn(2, {}, "confirm", 2)
    for pair in confirm["pairs"]:
        pair.update(valid=False, reason="head was silent for 9 s", benchmarks={})
    verdict = judge.judge([screen, confirm])
    assert (verdict["outcome"], verdict["exit_code"]) == ("GIVEN UP", 3)
    assert duet_gate.exit_code(verdict, lenient=False) == duet_gate.exit_code(verdict, lenient=True) == 3
    noisy = judge.judge([drawn(1, {}, control=0.05)])
    assert duet_gate.exit_code(noisy, lenient=False) == 3
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert duet_gate.exit_code(noisy, lenient=True) == 0
    assert capsys.readouterr().out == "::warning::not judged: CONTAMINATED\n"
    assert duet_gate.exit_code({**verdict, "exit_code": 1}, lenient=True) == 1


def test_an_unconfirmed_suspect_is_no_pass_and_no_failure_of_its_screen(tmp_path, directory, capsys, monkeypatch):
    screen = drawn(1, {"b1": 0.08})
    verdict = judge.judge([screen])
    assert verdict["outcome"] == "SUSPECT"
    codes = {stage: duet_gate.exit_code(verdict, lenient=True, stage=stage) for stage in ("screen", "confirm", None)}
    assert codes == {"screen": 0, "confirm": 3, None: 3}
    file = saved(tmp_path, "screen.json", screen)
    assert analysis(capsys, "gate", file)[0] == 3
    monkeypatch.setattr(duet_gate.duet, "measure", lambda chosen, output, *_: saved(directory, output.name, screen))
    told = tmp_path / "output"
    monkeypatch.setenv("GITHUB_OUTPUT", str(told))
    code, out, _ = analysis(capsys, "gate", "--base", "HEAD", "--stage", "screen", "--directory", directory)
    assert (code, told.read_text()) == (0, "suspects=1\n")  # the second job of CI starts
    assert "there are suspects: run --stage confirm" in out


def test_lost_head_is_no_pass(tmp_path, directory):
    """A crash in one benchmark breaks the gate; both of the first pairs are lost, and the run is given up."""
    dying = GOOD.replace("timed(work)", "os._exit(9)")
    ended = gate(suite(tmp_path / "one"), suite(tmp_path / "two", dying), tmp_path, directory)
    assert ended.returncode == 4
    assert "head ended with status 9 at good" in ended.stderr
    verdict = json.loads((directory / "verdict.json").read_text())
    assert verdict["outcome"] == "BROKEN"


@pytest.mark.parametrize(("file", "code", "outcome"), [
    ("conftest.py", 3, "NOT COMPARABLE"),
    pytest.param("perf_tests/test_fake.py", 4, "BROKEN", marks=pytest.mark.slow),  # as a lost head is
])
def test_head_that_cannot_start_is_no_pass(tmp_path, directory, file, code, outcome):
    """Not even leniently: that excuses noise, not an ImportError."""
    head = suite(tmp_path / "two")
    (head / file).write_text("import nowhere\n" + (head / file).read_text())
    ended = gate(suite(tmp_path / "one"), head, tmp_path, directory, "--lenient")
    assert ended.returncode == code
    assert "given up" in ended.stderr
    assert json.loads((directory / "verdict.json").read_text())["outcome"] == outcome


def test_what_is_wrong_is_said_before_anything_is_measured(directory, capsys, tmp_path):
    floor = saved(tmp_path, "noise-floor.json", {})
    stale = saved(directory, "verdict.json", {})
    code, _, err = analysis(capsys, "gate", "--base", "HEAD", "--directory", directory, "--noise-floor", floor)
    assert code == 2
    assert "noise-floor.json" in err
    code, _, err = analysis(capsys, "gate", "--base", "nowhere", "--directory", directory)
    assert (code, len(err.splitlines())) == (2, 1)
    assert not stale.exists()  # or `make release` would take it for this run's
    code, _, err = analysis(capsys, "gate", "--base", "HEAD", "--seed", "-1")
    assert code == 2
    assert "--seed" in err


@pytest.mark.slow
def test_whole_gate(tmp_path, directory):
    """A benchmark that takes twice as long is confirmed and named, alone; the same code passes."""
    two = GOOD + GOOD.replace('"good"', '"other"').replace("test_good", "test_other") + \
        GOOD.replace('"good"', '"control/sleep"').replace("test_good", "test_control")
    base = suite(tmp_path / "one", two)
    head = suite(tmp_path / "two", two.replace("def test_other(timed):\n    timed(work)",
                                               "def test_other(timed):\n    timed(lambda: (work(), work()))"))
    assert gate(base, base, tmp_path, directory).returncode == 0
    ended = gate(base, head, tmp_path, directory)
    assert ended.returncode == 1, ended.stdout
    verdict = json.loads((directory / "verdict.json").read_text())
    red = {entry["id"] for entry in verdict["benchmarks"] if entry["status"] == "REGRESSED"}
    assert "other" in red
    assert "good" not in red
    assert {duet["stage"] for duet in verdict["duets"]} == {"screen", "confirm"}


def gate(base, head, tmp_path, directory, *options):
    command = [sys.executable, "-m", "eagerbench", "gate", "--base", base, "--head", head, "--turns", "2",
               "--directory",
               directory, *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False,
                          env=quick(tmp_path / "tmp"))
    assert left_of(tmp_path / "tmp") == []
    return done
