"""Bytes of memory that this process has: resident, and of the GPU by torch."""

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path


def forget_peaks(device: str) -> None:
    """Start VmHWM anew (man 5 proc, clear_refs); where that is refused the peak is that of all batches so far."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if device != "cpu" and "torch" in sys.modules:
        sys.modules["torch"].cuda.reset_peak_memory_stats(device)


def peak_bytes(process: int | None = None) -> int:
    """Most resident bytes of this process, or of another one."""
    found = _status("VmHWM", process)
    if found is not None:
        return found
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def bytes_now(process: int | None = None) -> int:
    """Resident bytes now, of what is in use: garbage is collected, and glibc gives back what is free
    (https://man7.org/linux/man-pages/man3/malloc_trim.3.html), which its malloc, pinned, would keep. Where the system
    does not say, the peak. Of another process as it is."""
    if process is not None:
        return _status("VmRSS", process) or peak_bytes(process)
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    return _status("VmRSS") or peak_bytes()


def _status(name: str, process: int | None = None) -> int | None:
    """Bytes of a line of /proc/self/status, or of another process's; None without such a file."""
    status = Path("/proc") / str(process or "self") / "status"
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def gpu_peak_bytes(device: str) -> int | None:
    """Most bytes that torch had allocated on a GPU; None on the CPU, and for a runtime with allocations of its own."""
    if device == "cpu" or "torch" not in sys.modules:
        return None
    return sys.modules["torch"].cuda.max_memory_allocated(device)


def gpu_bytes(device: str) -> int | None:
    """Bytes that torch has allocated on a GPU now; None as above."""
    if device == "cpu" or "torch" not in sys.modules:
        return None
    return sys.modules["torch"].cuda.memory_allocated(device)
