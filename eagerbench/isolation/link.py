"""The link of a supervised process to its supervisor: a channel for progress, and a file for the stack of a crash.

Nothing here runs beside a measurement: each message is one write, before a test or after it.
"""

import contextlib
import faulthandler
import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

VARIABLE = "EAGERBENCH_SUPERVISED"
STACK_SIGNAL = getattr(signal, "SIGUSR2", None)  # the supervisor asks for the stack of a test that does not end
_ONCE_S = 1.0  # a terminal and a supervisor may both pass one Ctrl-C on


@dataclass
class Link:
    """
    Attributes:
        part: 1 in a session's first process, one more after every crash.
        journal: that of the parts before; None in the first.
    """

    part: int
    journal: Path | None
    channel: socket.socket
    faults: int

    @classmethod
    def taken(cls) -> "Link | None":
        """That of this process; processes that it starts have none."""
        text = os.environ.pop(VARIABLE, None)
        if text is None:
            return None
        given = json.loads(text)
        link = cls(given["part"], given["journal"] and Path(given["journal"]), socket.socket(fileno=given["channel"]),
                   given["faults"])
        for descriptor in (given["channel"], link.faults):
            os.set_inheritable(descriptor, False)
        return link

    def tell(self, *files: int, **message: Any) -> None:
        """A message, with the open file that pytest keeps a test's stderr in: it has no name, and outlives us so."""
        with contextlib.suppress(OSError):  # a supervisor that has gone
            socket.send_fds(self.channel, [json.dumps(message).encode() + b"\n"], files)

    def watch_faults(self) -> None:
        """Stacks go to the supervisor's file, that of a crash and that of a test that it is about to end."""
        faulthandler.enable(self.faults, all_threads=True)
        if STACK_SIGNAL is not None and signal.getsignal(STACK_SIGNAL) == signal.SIG_DFL:
            faulthandler.register(STACK_SIGNAL, self.faults, all_threads=True)


def heed_ctrl_c_once() -> None:
    """Take a second SIGINT within a second for the first: it would break into the saving of results."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    last = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _ONCE_S:
            last = now
            signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
