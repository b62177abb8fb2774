"""A session of plain benchmarks, which need no model, with faults that its environment asks for."""

import json
import os
import subprocess
import sys

from running import ROOT, WITHOUT_PLUGINS, Ended, own_environment

SUITE = '''
import os, time
import pytest

@pytest.mark.parametrize("number", range(4))
def test_plain(benchmark, number):
    benchmark.pedantic(lambda: number, rounds=3)
    fault = os.environ.get(f"FAULT{number}")
    if fault == "fail":
        pytest.fail("as planned")
    if fault == "abort":
        os.abort()
    if fault == "wait":
        time.sleep(60)
    if fault == "doze":
        time.sleep(0.3)
'''
NAMES = [f"test_suite.py::test_plain[{number}]" for number in range(4)]


def environment(**faults):
    own = own_environment()
    return {**own, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [own.get("PYTHONPATH")])]), **faults}


def command(directory, *more):
    (directory / "test_suite.py").write_text(SUITE)
    (directory / "pytest.ini").write_text("[pytest]\n")
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "eagerbench.fixtures.plugin",
            "test_suite.py", "--benchmark-only", "--variant=eager", "--threads=1",
            "--artifacts=artifacts", "--benchmark-json=run.json", *WITHOUT_PLUGINS, *more]


def ran(directory, *more, **faults):
    done = subprocess.run(command(directory, *more), cwd=directory, capture_output=True, text=True, timeout=120,
                          check=False, env=environment(**faults))
    return Ended(done.returncode, done.stdout, done.stderr), saved(directory)


def saved(directory):
    """What a session has saved, which is removed."""
    file = directory / "run.json"
    content = json.loads(file.read_text()) if file.exists() else {}
    file.unlink(missing_ok=True)
    return content


def names(content):
    return [bench["fullname"] for bench in content.get("benchmarks", [])]


def left(directory):
    return sorted((directory / "artifacts" / "interrupted").glob("*.jsonl"))
