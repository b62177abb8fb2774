"""Makes sure that no child or orphaned grandchild process outlives this one."""

import contextlib
import ctypes
import os
import signal
import sys

STARTER = "EAGERBENCH_PARENT"  # variable with the number of the process that starts another of ours
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # man 2 prctl
_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends, in whatever way. Linux only."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with_starter() -> None:
    """Likewise where another process of ours started this one.

    Called by the process itself, as a starter with threads must not run Python between fork and exec (`preexec_fn`).
    """
    starter = os.environ.pop(STARTER, None)
    if starter is not None:
        die_with_parent()
        if os.getppid() != int(starter):
            os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of what a process below this one leaves behind, so that `end_children` finds it."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_children() -> None:
    """Kill every process below this one: a compiler's worker, say, that has left its parent's process group."""
    import psutil

    while children := psutil.Process().children(recursive=True):
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=1)
