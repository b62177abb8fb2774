"""Many files are read by two processes: the same as by one, and nothing is lost where the other one ends."""

import json
import subprocess
import sys

import pytest

from eagerbench.jsonfile import UnreadableFile
from eagerbench.results import beside, records


def saved(directory, number, **more):
    file = directory / f"{number}.json"
    benches = [{"fullname": f"test_a[{place}]", "stats": {"median": 1.0 + place + number, "data": []}}
               for place in range(3)]
    file.write_text(json.dumps({"benchmarks": benches, "datetime": "2026-11-28", "machine_info": {"machine": "m"},
                                **more}))
    return file


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "LEAST_BYTES", 1)
    monkeypatch.setattr(beside.quota, "usable_cores", lambda: 2)
    return [saved(tmp_path, number) for number in range(7)]


@pytest.fixture
def started(monkeypatch):
    """The commands of processes that were started."""
    found, real = [], subprocess.Popen

    def popen(command, **how):
        found.append(command)
        return real(command, **how)

    monkeypatch.setattr(beside.subprocess, "Popen", popen)
    return found


def test_two_processes_read_what_one_reads(files, started):
    runs = records.load_all(files)
    assert started == [[sys.executable, "-m", "eagerbench.results.beside"]]
    assert runs == [records.load(file) for file in files]
    assert [run.file for run in runs] == files
    assert 0 < beside._cut(files) < len(files)


def test_few_files_or_one_core_are_read_by_one(files, started, monkeypatch):
    monkeypatch.setattr(beside.quota, "usable_cores", lambda: 1)
    assert len(records.load_all(files)) == 7
    monkeypatch.setattr(beside.quota, "usable_cores", lambda: 2)
    monkeypatch.setattr(beside, "LEAST_BYTES", 2**20)
    assert len(records.load_all(files)) == 7
    assert started == []


@pytest.mark.parametrize("wrong", [0, 6])
def test_the_first_file_that_cannot_be_read_is_said(files, started, wrong):
    """Whichever process reads it."""
    files[wrong].write_text('{"benchmarks": [')
    if wrong == 0:
        files[6].write_text("")
    with pytest.raises(UnreadableFile, match=rf"^[^\n]*{wrong}\.json: not JSON \([^\n]*\Z"):
        records.load_all(files)
    assert len(started) == 1


@pytest.mark.parametrize("program", ["import os; os.kill(os.getpid(), 9)", "print('no answer')",
                                     "import sys; sys.stdin.read(); sys.stdout.write('half')"])
def test_nothing_is_lost_where_the_other_process_ends(files, monkeypatch, program):
    real = subprocess.Popen
    monkeypatch.setattr(beside.subprocess, "Popen", lambda command, **how: real([sys.executable, "-c", program], **how))
    assert [run.file for run in records.load_all(files)] == files


def test_an_answer_that_is_too_short_is_none(files):
    assert beside._answer(beside.pickle.dumps(([], [])), 3) is None
    assert beside._answer(b"", 3) is None
