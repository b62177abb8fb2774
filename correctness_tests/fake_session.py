"""A session as its supervisor sees it, without pytest: `python fake_session.py DIRECTORY '{"t1": "segfault"}'`.

Four tests, `t0` to `t3`, each with a fault or none; `start` (`start-2` of the second process), `end`, `saving` and
`after` are between them. It goes on with a journal that is there.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from eagerbench.isolation import journal
from eagerbench.isolation.link import Link, heed_ctrl_c_once

TESTS = ("t0", "t1", "t2", "t3")
ALLOWED_S = float(os.environ.get("ALLOWED_S", "0.5"))


def segfault() -> None:
    ctypes.string_at(1)


def unheeded() -> None:
    """In C, with every signal blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.CDLL(None).pause()


def stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def children() -> None:
    """One that has left the process group, and one that is stopped."""
    for number in (0, signal.SIGSTOP):
        child = subprocess.Popen(["sleep", "300"], start_new_session=True)
        os.kill(child.pid, number)
    os._exit(5)


def garbage() -> None:
    for stream in (1, 2):
        os.write(stream, b"\xff\x1b[31m\x00 garbage\n" * 100)
    os.abort()


FAULTS = {"segfault": segfault, "abort": os.abort, "exit": lambda: os._exit(3), "exit-0": lambda: os._exit(0),
          "kill": lambda: os.kill(os.getpid(), signal.SIGKILL), "unheeded": unheeded, "stopped": stopped,
          "children": children, "garbage": garbage, "sleep": lambda: time.sleep(60), "nap": lambda: time.sleep(0.6),
          "doze": lambda: time.sleep(0.15),
          "illegal": lambda: os.kill(os.getpid(), signal.SIGILL), "float": lambda: os.kill(os.getpid(), signal.SIGFPE)}


def main(directory: Path, planned: dict[str, str]) -> None:
    def at(place: str) -> None:
        if place in planned:
            FAULTS[planned[place]]()

    link = Link.taken()
    link.watch_faults()
    heed_ctrl_c_once()
    at("start")
    at(f"start-{link.part}")
    file = link.journal or directory / "000001-0123abcd.jsonl"
    goes_on = file.exists() and file.stat().st_size > 0
    done = journal.read(file).finished if goes_on else {}
    writer = journal.Writer(file)
    if not goes_on:
        writer.write(json.dumps({"format": journal.FORMAT, "file": {}, "tests": len(TESTS)}))
    writer.write(json.dumps({"part": link.part, "started": "now"}))
    captured = tempfile.TemporaryFile()  # noqa: SIM115 (to the end of the process)
    os.dup2(captured.fileno(), 2)
    link.tell(captured.fileno(), journal=str(file))
    link.tell(allowed_s=None)
    for name in [name for name in TESTS if name not in done]:
        writer.write(json.dumps({"began": name, "case": name, "cell": {"bench_id": name}, "what": f"variant-{name}",
                                 "phase": "building"}))
        link.tell(allowed_s=ALLOWED_S)
        at(name)
        link.tell(allowed_s=None)
        writer.write(json.dumps({"finished": name, "wall_s": time.perf_counter(), "measured_s": 0.5}))
    at("end")
    link.tell(saving=True)
    at("saving")
    content = journal.read(file)
    (directory / "saved.json").write_text(json.dumps([content.finished, journal.parts(content)]))
    file.unlink()
    link.tell(ended=0)
    at("after")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), json.loads(sys.argv[2]))
    except KeyboardInterrupt:
        time.sleep(0.2)  # pytest saves results meanwhile
        sys.exit(2)
