"""What other libraries say about themselves while they are imported, export or compile: none of it is about the user's
model.

Filtered by its own text or logger, where it arises: an error of theirs, and every word of ours, is shown.
"""

import logging
import os

WARNINGS = (
    "ignore:.*TracerWarning.*",
    "ignore:Converting a tensor to a Python ",
    "ignore:.*torch.jit.*:DeprecationWarning",  # it works; docs/backends.md says that it is deprecated
    "ignore:.*is an Enum subclass and is now natively supported",
)
# By the logger that says it: torch sets the levels of those above them anew when it is imported.
_SAID = {
    "root": ("Please consider to run pre-processing before quantization",),  # of ONNX Runtime's quantiser
    "torch.utils._pytree": ("is an Enum subclass",),
    "torch.onnx._internal.exporter._registration": ("torchvision is not installed",),
    "torchao": ("Skipping import of cpp extensions", "Failed to load"),  # of its libraries for another torch
    "transformers.modeling_utils": ("`loss_type=",),
}


class _Without(logging.Filter):
    """Drops a logger's records that hold one of some texts and are no errors."""

    def __init__(self, texts: tuple[str, ...]):
        super().__init__()
        self._texts = texts

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or not any(text in record.getMessage() for text in self._texts)


def configure() -> None:
    """Before anything imports torch; also for the processes that this one starts."""
    for name, texts in _SAID.items():
        logging.getLogger(name).addFilter(_Without(texts))
    os.environ.setdefault("KINETO_LOG_LEVEL", "4")  # errors only; torch's profiler says when it starts and stops
