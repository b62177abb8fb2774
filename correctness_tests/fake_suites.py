"""Tiny projects that can take turns, with the real partner in them and no torch, and what a duet of them has left."""

import shutil
import sys
import textwrap
from pathlib import Path

import psutil
from running import HALF_WRITTEN, ROOT, own_environment

CONFTEST = '''
import pytest

pytest_plugins = ("eagerbench.fixtures.partner",)
from eagerbench.fixtures.partner import PARTNER
from eagerbench.measuring.timing import time_in_duet

def pytest_addoption(parser):
    parser.addoption("--artifacts")
    parser.addoption("--allocator", default="pinned")

def pytest_configure(config):
    config.addinivalue_line("markers", "bench_id(name): identity")

def pytest_benchmark_generate_machine_info(config):
    return {"cpu": {}}

def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.update(threads=1, allocator=config.option.allocator)

@pytest.fixture
def timed(benchmark, request):
    bench_id = request.node.get_closest_marker("bench_id").args[0]
    partner = request.config.stash[PARTNER]
    return lambda call: time_in_duet(benchmark, call, partner, bench_id, 0.05)

@pytest.fixture
def channel(request):
    return request.config.stash[PARTNER]._channel
'''
_HEAD = "import os, pathlib, signal, subprocess, sys, time, pytest\nwork = lambda: time.sleep(0.03)\n"
GOOD = '''
@pytest.mark.bench_id("good")
def test_good(timed):
    timed(work)
'''


def suite(directory: Path, tests: str = GOOD) -> Path:
    """A fake project that can take turns."""
    for part in ("eagerbench", "fixtures"):
        shutil.copytree(ROOT / part, directory / part, ignore=HALF_WRITTEN, dirs_exist_ok=True)
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "perf_tests").mkdir(exist_ok=True)
    (directory / "perf_tests" / "test_fake.py").write_text(_HEAD + textwrap.dedent(tests))
    return directory


def command(*arguments: object, output: Path) -> list[str]:
    return [sys.executable, "-m", "eagerbench", "duet", "--turns", "1", "-o", str(output), *map(str, arguments)]


def environment(scratch: Path) -> dict[str, str]:
    scratch.mkdir(exist_ok=True)
    return {**own_environment(), "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}


def quick(scratch: Path) -> dict[str, str]:
    """Without the pytest plugins that fakes do not need."""
    return {**environment(scratch), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_benchmark.plugin"}


def left_of(scratch: Path) -> list:
    """Processes that run from a directory of the duet, stopped ones too, and what it made there."""
    found = list(scratch.glob("eagerbench-duet-*"))
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(scratch)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
