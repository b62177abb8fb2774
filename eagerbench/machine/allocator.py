"""glibc's malloc, pinned: it neither maps large blocks nor gives memory back, so calls stop paying for page faults.

Unpinned, each process pays another price for its page faults, which makes ratios of the same code differ by
5 % between processes; pinned, by 0.3 % (docs/method.md, "The allocator"). https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

import ctypes
import resource
import sys

from eagerbench.errors import BadInput

CHOICES = ("pinned", "system")
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
SETTINGS = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20))
_BLOCK = 32 * 2**20  # larger than any threshold at which glibc maps a block of its own


_in_effect = "system"


def in_effect() -> str:
    """What `configure` has returned last; `system` before."""
    return _in_effect


def configure(choice: str) -> str:
    """Pin the allocator or leave it; returns what is in effect, for the record.

    Args:
        choice: `pinned` or `system`.

    Returns:
        `pinned` (verified), `system`, or `system (pin failed: reason)`.

    Raises:
        BadInput: torch is already imported, so its blocks may come from the unpinned heap.
    """
    global _in_effect
    _in_effect = _configured(choice)
    return _in_effect


def _configured(choice: str) -> str:
    if choice == "system":
        return "system"
    if "torch" in sys.modules:
        raise BadInput("the allocator must be pinned before torch is imported, but something has imported it; "
                       "leave that out, or use --allocator system")
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not sys.platform.startswith("linux"):
        return "system (pin failed: no glibc mallopt here)"
    if not all(libc.mallopt(name, value) == 1 for name, value in SETTINGS):
        return "system (pin failed: mallopt refused)"
    return "pinned" if second_touch_faults() < 100 else "system (pin failed: a reused block still faults)"


def second_touch_faults() -> int:
    """Page faults of touching a freed and reallocated block: none when malloc kept it, one a page otherwise."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    faults = 0
    for _ in range(2):
        block = libc.malloc(_BLOCK)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        ctypes.memset(block, 1, _BLOCK)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        libc.free(block)
    return faults
