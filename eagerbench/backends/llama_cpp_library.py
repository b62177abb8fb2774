"""llama.cpp's library, with what it logs kept instead of printed."""

from functools import cache
from typing import Any

_MOST_LINES = 10_000


class Library:
    """What is loaded once a process.

    Attributes:
        llama: the module `llama_cpp`, its C functions.
        log: lines that the library has logged; the oldest are dropped.
    """

    def __init__(self) -> None:
        import llama_cpp

        self.llama: Any = llama_cpp
        self.log: list[str] = []
        self._callback = llama_cpp.llama_log_callback(self._keep)  # ctypes keeps no reference to it
        llama_cpp.llama_log_set(self._callback, None)
        llama_cpp.llama_backend_init()

    def _keep(self, _: int, text: bytes, __: Any) -> None:
        self.log.append(text.decode(errors="replace"))
        del self.log[:-_MOST_LINES]

    def said_since(self, line: int) -> str:
        return "".join(self.log[line:]).strip()


@cache
def library() -> Library:
    return Library()
