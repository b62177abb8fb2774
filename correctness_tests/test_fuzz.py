"""Mutated files through every command: no traceback, no escape sequence, no markup of theirs."""

import os
import time

import pytest
from fuzzing import Fuzzer, html_problems, markdown_problems, until

from eagerbench.results import summary

SECONDS = 6
pytest.importorskip("eagerbench.results.plot", exc_type=ImportError)  # the extra environments have no plotly


def fuzz(directory, seconds: float, seed: int) -> tuple[int, list[str]]:
    end = time.monotonic() + seconds
    return until(lambda number: number > 0 and time.monotonic() > end, directory, seed)


def test_mutated_files_end_in_a_documented_way(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # the fuzzer sets others
    seed = int(os.environ.get("FUZZ_SEED", "0"))
    if "FUZZ_ONLY" in os.environ:
        assert Fuzzer(tmp_path).run(seed, int(os.environ["FUZZ_ONLY"])) == []
        return
    count, wrong = fuzz(tmp_path, SECONDS, seed)
    assert wrong == []
    assert count > 5


@pytest.mark.slow
def test_many_mutated_files(tmp_path, monkeypatch):
    """As long as FUZZ_SECONDS says (`make fuzz`: ten minutes)."""
    monkeypatch.setenv("COLUMNS", "80")
    seed = int(os.environ.get("FUZZ_SEED", time.time()))
    _, wrong = fuzz(tmp_path, float(os.environ.get("FUZZ_SECONDS", "60")), seed)
    assert wrong == []


def test_the_fuzzer_can_fail(tmp_path, monkeypatch):
    """A reader that trusts its file is found out within a few mutations."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("eagerbench.results.records.sound", lambda content: (content["benchmarks"], []))
    monkeypatch.setattr(summary, "planned", lambda content: (content["eagerbench"]["cells"], {}, []))
    fuzzer = Fuzzer(tmp_path)
    found = [line for number in range(30) for line in fuzzer.run(0, number)]
    assert any("bug of eagerbench" in line for line in found)
    assert list(markdown_problems("| a | b |\n| --- | --- |\n| x\\|y | *z* |"))
    assert list(markdown_problems("| a | b |\n| --- | --- |\n| x|y | z |"))
    assert list(html_problems("<td><fuzz></td>"))
