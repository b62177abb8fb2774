"""The journal of a session as a file: torn lines, full disks, names whatever the clock says, and whose it is."""

import json
import os
import resource

import pytest

from eagerbench.cli import main
from eagerbench.errors import BadInput
from eagerbench.fixtures import leftovers
from eagerbench.fixtures.journal import Journal
from eagerbench.isolation import journal
from eagerbench.machine.owned import Lock


def lines_of(directory, *lines, name="000001-0123abcd.jsonl"):
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


HEADER = {"format": journal.FORMAT, "file": {"machine_info": {}}, "tests": 2, "command": "pytest perf_tests"}


def test_a_torn_line_costs_itself(tmp_path):
    file = lines_of(tmp_path, HEADER, {"part": 1}, {"finished": "a"}, {"finished": "b"})
    whole = file.read_bytes()
    for cut in range(1, len(json.dumps({"finished": "b"})) + 1):
        file.write_bytes(whole[:-cut])
        content = journal.read(file)
        assert list(content.finished) == (["a", "b"] if cut == 1 else ["a"])
        journal.append(file, {"finished": "c"})
        assert "c" in journal.read(file).finished
        assert next(iter(journal.read(file).finished)) == "a"


def test_a_line_without_room_is_taken_back(tmp_path):
    """A file that may not grow by a whole line: the kernel writes a part of it, and then refuses."""
    file = lines_of(tmp_path, HEADER)
    before = file.read_bytes()
    writer = journal.Writer(file)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            writer.write('{"finished": "a"}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    writer.write('{"finished": "b"}')
    writer.close()
    assert list(journal.read(file).finished) == ["b"]


def test_the_newest_is_the_last_one_made_whatever_the_clock_says(tmp_path):
    """Also with two sessions in one directory, and after the clock was set back."""
    made = []
    for _ in range(12):
        file = leftovers.new_name(tmp_path)
        lines_of(tmp_path, HEADER, name=file.name)
        os.utime(file, (1e9 - len(made), 1e9 - len(made)))
        made.append(file)
    assert leftovers.to_resume(tmp_path, "newest") == made[-1]
    assert sorted(made) == made
    assert leftovers.new_name(tmp_path) != leftovers.new_name(tmp_path)


def test_a_journal_in_use_is_not_taken(tmp_path):
    file = lines_of(tmp_path, HEADER)
    lock = Lock(file.with_suffix(".lock"))
    with pytest.raises(BadInput, match="still runs"):
        leftovers.to_resume(tmp_path, str(file))
    with pytest.raises(BadInput, match="no interrupted session in"):
        leftovers.to_resume(tmp_path, "newest")
    assert Journal(None, tmp_path).leftovers() == []
    assert main(["rescue", str(file), "--dismiss"]) == 2
    lock.leave()
    assert leftovers.to_resume(tmp_path, "newest") == file
    assert any("an interrupted session" in line for line in Journal(None, tmp_path).leftovers())


@pytest.mark.parametrize("first", [b"{}", b"[]", b"\xff", b'{"format": "eagerbench-journal-1"}', b"[" * 100_000])
def test_what_is_no_journal(first, tmp_path):
    file = tmp_path / "000001-0123abcd.jsonl"
    file.write_bytes(first)
    with pytest.raises(journal.UnreadableFile, match="not the journal of a session"):
        journal.read(file)
    assert any("cannot be read" in line for line in leftovers.lines(tmp_path))
