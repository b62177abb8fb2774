"""Disks that are really full: a file system of 64 KiB in a mount namespace of the session, which its plugin fills."""

import os
import subprocess

import plain_suite
import pytest
from plain_suite import NAMES, names
from running import ROOT, Ended

MOUNT = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         'mount -t tmpfs -o size=64k tmpfs "$1" && shift && exec "$@"', "sh")
# After the second of four tests there is no room left.
FILLS = """
import os
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid):
    if "[1]" in nodeid:
        with open(os.environ["FULL"] + "/filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64))
            except OSError as error:
                assert error.errno == 28
"""


@pytest.fixture
def full(tmp_path):
    """Runs the plain suite where a directory becomes full: `full("artifacts", *options)`."""
    try:
        done = subprocess.run([*MOUNT, str(tmp_path), "true"], capture_output=True, text=True, check=False)
        reason = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        reason = str(error)
    if reason:
        pytest.skip(f"no file system of one's own can be mounted here: {reason}")
    (tmp_path / "fills.py").write_text(FILLS)

    def run(directory, *more):
        place = tmp_path / directory
        place.mkdir()
        paths = os.pathsep.join([str(tmp_path), str(ROOT)])
        done = subprocess.run([*MOUNT, str(place), *plain_suite.command(tmp_path, "-p", "fills", *more)], cwd=tmp_path,
                              capture_output=True, text=True, timeout=120, check=False,
                              env=plain_suite.environment(PYTHONPATH=paths, FULL=str(place)))
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


def test_it_costs_the_journal_and_no_result(full, tmp_path):
    ended = full("artifacts")
    assert ended.code == 0, ended.out
    assert names(plain_suite.saved(tmp_path)) == NAMES
    assert "finished results could not be kept in" in ended.out
    assert "No space left on device" in ended.out


def test_results_without_room_stay_in_the_journal(full, tmp_path):
    """They can be saved elsewhere later."""
    ended = full("results", "--benchmark-json=results/run.json")
    assert ended.code != 0
    assert "No space left on device" in ended.out + ended.err
    (file,) = plain_suite.left(tmp_path)
    assert f"4 of 4 tests finished, kept in {file}" in ended.out
    again, content = plain_suite.ran(tmp_path, "--resume")
    assert again.code == 0, again.out
    assert names(content) == NAMES
    assert plain_suite.left(tmp_path) == []
