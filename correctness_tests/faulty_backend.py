"""A backend that exports, loads and runs like any other, until the fault that the environment asks for.

`FAULT=place:kind`: the places are build, load, first-call, timed-call and probe; calls and the probe have it at
sequence length 16 only. `FAULT=place:each`: each variant `faulty-KIND` has the fault in its name, there. Registered by
the plugin `faulty_plugin`, in test sessions alone.
"""

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from eagerbench.backends.base import Engagement, ExportingBackend, Variant
from eagerbench.machine import quota

LENGTH = 16
LIMIT_BYTES = 2**30
_PREFIX = "eagerbench-test-"


def eat_address_space() -> None:
    import torch

    soft = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + 2**28
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    torch.empty(2**40)


def groups() -> list[Path]:
    """Control groups of these tests, below that of this process."""
    files = quota.memory_event_files()
    return sorted(files[0].parent.glob(f"{_PREFIX}*")) if files and files[0].name != "vmstat" else []


def group() -> Path:
    """Make one with a limit.

    Raises:
        OSError: none can be made here.
    """
    events = quota.memory_event_files()[0]
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=events.parent))
    limit = "memory.max" if events.name == "memory.events" else "memory.limit_in_bytes"
    try:
        (made / limit).write_text(str(LIMIT_BYTES))
    except OSError:
        made.rmdir()
        raise
    return made


def can_group() -> bool:
    try:
        group().rmdir()
    except (OSError, IndexError):
        return False
    return True


def remove_groups() -> None:
    for made in groups():
        made.rmdir()


def eat_in_group() -> None:
    """Until the kernel kills it; the test removes the group."""
    (group() / "cgroup.procs").write_text(str(os.getpid()))
    kept = []
    while True:
        kept.append(b"x" * 2**22 + bytes([len(kept) % 256]))


def terminate() -> None:
    """As an exception of C++ that nobody catches."""
    os.write(2, b"terminate called after throwing an instance of 'std::runtime_error'\n")
    os.abort()


def unheeded() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.CDLL(None).pause()


def garbage() -> None:
    for stream in (1, 2):
        os.write(stream, b"\xff\x1b[31m\x00 garbage\n" * 1000)
    os.abort()


def children() -> None:
    for number in (0, signal.SIGSTOP):
        child = subprocess.Popen(["sleep", "300"], start_new_session=True)
        os.kill(child.pid, number)
    os._exit(5)


KINDS = {"segfault": lambda: ctypes.string_at(1), "abort": os.abort, "terminate": terminate,
         "exit": lambda: os._exit(3), "unheeded": unheeded, "garbage": garbage, "children": children,
         "kill": lambda: os.kill(os.getpid(), signal.SIGKILL), "address-space": eat_address_space,
         "group": eat_in_group, "spin": lambda: [None for _ in iter(time.monotonic, 0.0)]}


def at(place: str, variant: str) -> None:
    wanted, _, kind = os.environ.get("FAULT", "").partition(":")
    if wanted and wanted == place:
        if kind == "each":
            kind = variant.removeprefix("faulty-")
        if "KEEP_JOURNAL" in os.environ:  # what was finished before
            (journal,) = Path(os.environ["KEEP_JOURNAL"]).parent.glob("artifacts/interrupted/*.jsonl")
            shutil.copy(journal, os.environ["KEEP_JOURNAL"])
        KINDS[kind]()


class Faulty(ExportingBackend):
    variants = (Variant("faulty", "exact-math"), *(Variant(f"faulty-{kind}", "exact-math") for kind in KINDS))

    def export(self, variant, model, example, directory):
        import torch

        at("build", variant.name)
        torch.save(model.copy(), directory / "module.pt")

    def load(self, variant, directory, placement):
        import torch

        from eagerbench.backends.torch_runner import TorchRunner

        class FaultyRunner(TorchRunner):
            calls = 0

            def __call__(self, native):
                if native["input_ids"].shape[1] == LENGTH:
                    self.calls += 1
                    at({1: "first-call", 6: "timed-call"}.get(self.calls, ""), variant.name)
                return super().__call__(native)

        at("load", variant.name)
        return FaultyRunner(torch.load(directory / "module.pt", weights_only=False), placement.device)

    def build_disengaged(self, variant, model, example, placement):
        raise NotImplementedError

    def probe(self, variant, runner, inputs):
        if inputs["input_ids"].shape[1] == LENGTH:
            at("probe", variant.name)
        return Engagement(True, "it runs")


BACKEND = Faulty()
if __name__ == "__main__":
    KINDS[sys.argv[1]]()
