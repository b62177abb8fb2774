"""What load.py does before it opens the model, and `load.py --check` and `--time`. Needs numpy only."""

import argparse
import ctypes
import hashlib
import json
import os
import sys
import time
from importlib.metadata import distributions
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MANIFEST = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
SESSION, NEEDS = MANIFEST["session"], MANIFEST["needs"]
NAMES = [one["name"] for one in MANIFEST["outputs"]]


def refuse(why):
    """One line, and exit code 3."""
    print(f"{HERE.name}: {why}", file=sys.stderr)
    sys.exit(3)


def start():
    """Refuse what cannot work here. Then allocator, waiting threads and cores as measured: before the runtime loads."""
    for name, wanted in MANIFEST["sha256"].items():
        if digest(HERE / name) != wanted:
            refuse(f"{name} is not the file that was packed (its sha256 differs): unpack the package again")
    if sys.version_info[:2] < tuple(NEEDS["python"]):
        refuse(f"Python {'.'.join(map(str, NEEDS['python']))} or newer is needed")
    for name, wanted in MANIFEST["packages"].items():
        found = next((one.version.partition("+")[0] for one in distributions(name=name)), "none")
        if found != wanted:
            refuse(f"{name} {wanted} is needed, {found} is installed: pip install -r requirements.txt")
    if NEEDS["machine"] not in (None, os.uname().machine):
        refuse(f"compiled for {NEEDS['machine']}, this machine is {os.uname().machine}: package it there")
    if sys.platform == "linux":  # elsewhere nothing says which instructions there are
        require_linux()
        for name, value in SESSION["mallopt"]:
            ctypes.CDLL(None).mallopt(name, value)
        if SESSION["affinity"]:
            os.sched_setaffinity(0, SESSION["affinity"])
    os.environ.update(SESSION["environment"])


def digest(file):
    """SHA-256, or nothing of a file that is not there."""
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def require_linux():
    """Instructions of the processor, and memory: of the machine, and of the control group that a container is."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    for names in NEEDS["instruction_sets"]:
        if not flags & set(names):
            refuse(f"this processor has no {' or '.join(names)}: package a variant that runs without")
    free = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    if free < NEEDS["memory_bytes"]:
        refuse(f"{NEEDS['memory_bytes'] >> 20} MiB of memory are needed, {free >> 20} MiB are free")


def shipped(folder):
    return {file.stem: np.load(file) for file in sorted((HERE / "check" / folder).glob("*.npy"))}


def differing(got, wanted):
    """How many arrays are not as shipped, within the tolerance of the manifest."""
    failed = 0
    for name, array in wanted.items():
        same = got[name].shape == array.shape and np.allclose(got[name], array, **MANIFEST["tolerance"], equal_nan=True)
        bits = same and np.array_equal(got[name], array, equal_nan=True)
        print(f"{name}: {'equal bit for bit' if bits else 'equal within the tolerance' if same else 'DIFFERENT'}")
        failed += not same
    return failed


def check(model):
    """The shipped inputs through the model, and what a user gives through everything; exit code 1 where one differs."""
    failed, file = differing(model.forward(shipped("inputs")), shipped("expected")), HERE / "check" / "given.json"
    if file.exists():
        failed += differing(model(json.loads(file.read_text(encoding="utf-8"))), shipped("finished"))
    return int(failed > 0)


def timed(model):
    """The median call on the shipped inputs, beside that of the record."""
    native, ends, record = model.session.native(shipped("inputs")), [time.perf_counter()], MANIFEST["measured"]
    while len(ends) < 10 or ends[-1] < ends[0] + 2:
        model.session.run(native)
        ends.append(time.perf_counter())
    here = float(np.median(np.diff(ends)[len(ends) // 4:]))  # what comes before warms up
    print(f"{here * 1e3:.2f} ms a call")
    if record and record["same_inputs"]:
        print(f"{record['median_s'] * 1e3:.2f} ms ({record['workload']}) on {record['machine']}: here "
              f"{here / record['median_s']:.2f} times as long")


def show_arrays(outputs, given):
    for name, array in outputs.items():
        print(f"{name} {array.shape}: {' '.join(f'{value:.4g}' for value in array.ravel()[:6])} …")


def main(make, given, show=show_arrays):
    parser = argparse.ArgumentParser(prog="load.py", description=f"{MANIFEST['model']} as {MANIFEST['variant']}")
    parser.add_argument("given", nargs="*", help=given)
    parser.add_argument("--check", action="store_true", help="compare with the shipped outputs; exit code 1: different")
    parser.add_argument("--time", action="store_true", help="time the call, beside the time that was measured")
    options, began = parser.parse_args(), time.perf_counter()
    model = make()
    print(f"ready after {time.perf_counter() - began:.2f} s", file=sys.stderr)
    if options.given:
        show(model(options.given), options.given)
    if options.time:
        timed(model)
    sys.exit(check(model) if options.check else 0)
