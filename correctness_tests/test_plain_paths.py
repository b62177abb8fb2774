"""Spaces, quotes and other odd characters in the directories of the project, its artifacts and temporary files."""

import json
import os
import shlex

import pytest
from running import ROOT, copy_of_project, own_environment, run_pytest

from conftest import skip_unavailable
from eagerbench.machine import plain_paths
from eagerbench.machine.plain_paths import plain

ODD = "it's a ü #$x"


def test_an_ordinary_path_is_left_alone(tmp_path):
    assert plain(tmp_path) == tmp_path


@pytest.mark.parametrize("name", ["a space", "it's", 'a"quote', "back\\slash", "tab\there", ODD])
def test_an_odd_path_gets_a_link_that_a_command_line_keeps_whole(tmp_path, monkeypatch, name):
    monkeypatch.setattr(plain_paths, "_OTHERS", (str(tmp_path),))
    odd = tmp_path / name
    odd.mkdir()
    link = plain(odd)
    assert shlex.split(f"g++ -L{link} -o {link}/x.so") == ["g++", f"-L{link}", "-o", f"{link}/x.so"]
    (link / "file").write_text("there")
    assert (odd / "file").read_text() == "there"
    assert plain(odd) == link  # in the next session too: inductor's cache holds paths
    other = tmp_path / f"{name} other"
    assert plain(other) != link
    link.unlink()
    link.symlink_to(other)
    assert os.readlink(plain(odd)) == str(odd)


def test_a_directory_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"eagerbench-links-{os.getuid()}").symlink_to(elsewhere)
    monkeypatch.setattr(plain_paths, "_OTHERS", (str(tmp_path),))
    monkeypatch.setattr(plain_paths.tempfile, "gettempdir", lambda: "/no such directory")
    with pytest.raises(OSError, match="has a path without spaces"):
        plain(tmp_path / "a b")


@pytest.mark.slow
def test_a_clone_in_an_odd_directory_compiles(tmp_path, monkeypatch):
    skip_unavailable("torch-compile")
    root, temporary = tmp_path / ODD, tmp_path / "tmp dir"
    root.mkdir()
    temporary.mkdir()
    copy_of_project(root)
    assert root != ROOT
    monkeypatch.setenv("TMPDIR", str(temporary))
    assert own_environment()["TMPDIR"] == str(temporary)
    ended = run_pytest("perf_tests/test_latency.py", "--benchmark-only", "--model", "tiny-bert", "--variant",
                       "torch-compile", "--variant", "aot-inductor", "--batch-sizes", "2", "--sequence-lengths", "8",
                       "--threads", "1", "--time-budget", "0.2", "--artifacts", "my artifacts", "--benchmark-json",
                       "out.json", cwd=root, timeout=900)
    assert ended.code == 0, ended.out
    assert len(json.loads((root / "out.json").read_text())["benchmarks"]) == 2, ended.out
