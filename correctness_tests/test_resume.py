"""Going on with a session, on a suite of plain benchmarks, which need no model: what is kept, refused and announced."""

import json
import re
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from plain_suite import NAMES, command, environment, left, names, ran

from eagerbench.cli import main
from eagerbench.fixtures import leftovers
from eagerbench.isolation import journal
from eagerbench.results import records


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A session without a supervisor that was killed in its third test, and the header of the next one."""
    directory = tmp_path_factory.mktemp("interrupted")
    ended, _ = ran(directory, "--no-isolation", FAULT1="fail", FAULT2="abort")
    assert ended.code == -signal.SIGABRT, ended.out
    (file,) = left(directory)
    return directory, file


def copied(interrupted, tmp_path):
    """The same leftovers for one test."""
    shutil.copytree(interrupted[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_without_isolation_a_crash_ends_the_session_and_is_announced(interrupted):
    directory, file = interrupted
    content = journal.read(file)
    assert list(content.finished) == NAMES[:2]
    assert content.begun["began"] == NAMES[2]
    ended, _ = ran(directory, "--collect-only")
    assert f"results of an interrupted session: {file}" in ended.out
    assert "2 of 4 tests finished, kept in" in ended.out
    assert re.search(r"continue: \S+ -m pytest .*--resume=\S+\.jsonl\n", ended.out)
    assert f"read: eagerbench summary {file}\n" in ended.out
    assert f"dismiss: eagerbench rescue {file} --dismiss\n" in ended.out


def test_resumed_it_is_the_file_of_one_piece(interrupted, tmp_path):
    directory = copied(interrupted, tmp_path)
    (file,) = left(directory)
    first = journal.read(file).finished[NAMES[0]]["benchmark"]
    journal.append(file, {"ended": "killed", "spent_s": 5000.0})
    ended, content = ran(directory, "--resume")
    assert ended.code == 1, ended.out  # the test that failed before is kept as it was
    assert re.search(r"1 failed, 3 passed in 50\d\d\.\d\ds", ended.out)  # of both parts
    assert "as planned" in ended.out
    assert names(content) == [NAMES[0], *NAMES[2:]]
    assert json.dumps(content["benchmarks"][0]) == json.dumps(first)
    parts = content["eagerbench"].pop("parts")
    assert [part["finished"] for part in parts] == [2, 2]
    assert left(directory) == []
    whole, one_piece = ran(directory, FAULT1="fail")
    assert whole.code == 1
    assert one_piece.keys() == content.keys()
    assert one_piece["eagerbench"].keys() == content["eagerbench"].keys()
    assert names(one_piece) == names(content)
    assert one_piece["machine_info"] == content["machine_info"]


@pytest.mark.slow
def test_what_failed_is_tried_again_where_it_is_asked_for(interrupted, tmp_path):
    directory = copied(interrupted, tmp_path)
    ended, content = ran(directory, "--resume=failed")
    assert ended.code == 0, ended.out
    assert names(content) == NAMES
    assert "4 passed in " in ended.out


def changed(file, change):
    """The journal, its header changed as if it had been written elsewhere."""
    first, *rest = file.read_text().splitlines(keepends=True)
    header = json.loads(first)
    change(header["decides"])
    file.write_text(json.dumps(header) + "\n" + "".join(rest))


def test_another_session_is_refused_with_what_differs(interrupted, tmp_path):
    directory = copied(interrupted, tmp_path)
    (file,) = left(directory)

    def change(decides):
        decides["machine"]["CPU"] = "another CPU"
        decides["package"]["numpy"] = "0.1"
        decides["code"]["eagerbench"] = "0" * 64

    changed(file, change)
    ended, content = ran(directory, "--resume", "--seed=3", "-k", "not 0")
    assert ended.code == 4
    for said in ("--resume: this is another session", "machine CPU: another CPU → ", "package numpy: 0.1 → ",
                 "code eagerbench: ", "option seed: 0 → 3", f"not selected now: {NAMES[0]}"):
        assert f"ERROR: {said}" in ended.err, ended.err
    assert content == {}
    assert left(directory) == [file]


@pytest.mark.parametrize(("value", "said"), [
    pytest.param("--resume", "no interrupted session in ", marks=pytest.mark.slow),
    pytest.param("--resume=nothing.jsonl", "no such file", marks=pytest.mark.slow),
    ("--resume=test_suite.py", "not the journal of a session")])
def test_what_cannot_be_resumed(value, said, tmp_path):
    ended, _ = ran(tmp_path, value)
    assert ended.code == 4, ended.out
    assert said in ended.err
    assert ended.err.count("ERROR: ") == 1


def test_a_crash_of_a_plain_test_fails_it(tmp_path):
    """Supervised; every other test runs."""
    ended, content = ran(tmp_path, FAULT1="abort")
    assert ended.code == 1
    assert names(content) == [NAMES[0], *NAMES[2:]]
    assert "crashed: SIGABRT in test_plain[1] while setting up" in ended.out
    assert "1 failed, 3 passed in " in ended.out
    assert ended.out.count("test session starts") == 1
    assert left(tmp_path) == []


@pytest.mark.slow
def test_no_further_than_the_first_failure(tmp_path):
    first, content = ran(tmp_path, "-x", FAULT1="abort")
    assert first.code == 1
    assert names(content) == NAMES[:1]
    assert "1 failed, 1 passed in " in first.out


def test_ctrl_c_says_how_to_go_on(tmp_path):
    with subprocess.Popen(command(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=environment(FAULT1="wait"),
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        deadline = time.monotonic() + 60
        while not any(b'[1]"' in file.read_bytes() for file in left(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        assert psutil.Process(process.pid).num_threads() == 1  # another one would take signals that are waited for
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 2, out
    (file,) = left(tmp_path)
    assert "1 of 4 tests finished, kept in" in out
    assert f"--resume={file}\n" in out
    ended, content = ran(tmp_path, f"--resume={file}")
    assert ended.code == 0, ended.out
    assert names(content) == NAMES
    assert left(tmp_path) == []


@pytest.mark.parametrize(("more", "said"), [
    ("--benchmark-json=nowhere/run.json", "--benchmark-json"),
    pytest.param("--benchmark-storage=file://./test_suite.py/x", "--benchmark-storage", marks=pytest.mark.slow)])
def test_results_that_cannot_be_saved_are_found_out_at_the_start(more, said, tmp_path):
    ended, _ = ran(tmp_path, "--benchmark-autosave", more)
    assert ended.code == 4, ended.out
    assert said in ended.err
    assert "passed" not in ended.out


@pytest.mark.slow
def test_two_sessions_share_a_directory(tmp_path):
    """Each has a journal of its own, and neither takes the other's for that of an interrupted session."""
    outputs = []
    both = [subprocess.Popen([*command(tmp_path), f"--benchmark-json={name}.json"], cwd=tmp_path, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment())
            for name in ("one", "other")]
    for process in both:
        with process:
            outputs.append(process.communicate(timeout=120)[0])
    assert [process.returncode for process in both] == [0, 0], outputs
    assert not any("interrupted session" in out for out in outputs)
    assert names(json.loads((tmp_path / "one.json").read_text())) == NAMES
    assert names(json.loads((tmp_path / "other.json").read_text())) == NAMES
    assert list((tmp_path / "artifacts" / "interrupted").iterdir()) == []


def test_a_rescued_journal_is_an_ordinary_file(interrupted, tmp_path, capsys):
    directory = copied(interrupted, tmp_path)
    (file,) = left(directory)
    with file.open("ab") as stream:
        stream.write(b'{"finished": "torn')
    output = tmp_path / "out.json"
    assert main(["rescue", str(file), "-o", str(output)]) == 0
    said = capsys.readouterr().out
    assert "1 benchmark of 4 tests; 1 torn line left out" in said
    assert names(records.read(output)) == NAMES[:1]
    assert left(directory) == []
    assert leftovers.lines(file.parent) == []
    assert main(["rescue", str(file), "--dismiss"]) == 2
