"""A supervised session without pytest (`fake_session.py`): what it says and saves, and that nothing of it is left."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from running import ROOT

SESSION = Path(__file__).with_name("fake_session.py")
START_S = 3.0  # longer than Python takes on a busy machine
PROGRAM = ("import sys; from eagerbench.isolation.supervisor import Supervisor; "
           f"sys.exit(Supervisor([sys.executable, *sys.argv[1:]], 'pytest perf_tests', {START_S}).run())")
NAME = "000001-0123abcd.jsonl"


@contextlib.contextmanager
def supervised(directory, program=PROGRAM, **planned):
    """A session, its process the supervisor's; nothing of it is left, in whatever way it ends."""
    mark = {"EAGERBENCH_TEST_MARK": str(directory)}
    command = [sys.executable, "-c", program, str(SESSION), str(directory), json.dumps(planned)]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", env={**os.environ, "PYTHONPATH": str(ROOT), **mark},
                          start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    deadline = time.monotonic() + 20
    while (left := list(marked(mark))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def marked(mark):
    """Processes with these variables, stopped ones too."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and mark.items() <= process.environ().items():
                yield process


def ran(directory, **planned):
    """Exit code, output, and what the session saved: its finished tests and its parts."""
    with supervised(directory, **planned) as process:
        out = process.communicate(timeout=60)[0]
    return process.returncode, out, *saved(directory)


def saved(directory):
    file = directory / "saved.json"
    return json.loads(file.read_text()) if file.exists() else ({}, [])
