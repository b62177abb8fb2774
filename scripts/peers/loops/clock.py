"""The loop of the scripts beside this: warm up, then nothing but calls until the seconds are over; the median as JSON.

These scripts know nothing of eagerbench. PEERS_ALLOCATOR=pinned takes the three calls that pin glibc's malloc, as
eagerbench does; it is to be imported before any runtime.
"""

import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

if os.environ.get("PEERS_ALLOCATOR") == "pinned":
    for name, value in ((-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)):
        if ctypes.CDLL(None).mallopt(name, value) != 1:
            sys.exit("mallopt refused")
SECONDS = float(os.environ.get("PEERS_SECONDS", "2"))
THREADS = int(os.environ["PEERS_THREADS"])
_LEAST = 5  # calls


def run(call: Callable[[], object], *packages: str) -> None:
    """Print the median seconds of a call, and how many there were."""
    end = time.perf_counter() + SECONDS / 4
    call()
    while time.perf_counter() < end:
        call()
    rounds: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(rounds) < _LEAST:
        start = time.perf_counter()
        call()
        rounds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": statistics.median(rounds), "calls": len(rounds),
                      "versions": {name: version(name) for name in packages}}))
