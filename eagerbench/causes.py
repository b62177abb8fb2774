"""Finds the line of an exception that says what went wrong. Compilers and exporters bury it in their own output."""

import re
from collections.abc import Iterator

from eagerbench.errors import first_line
from eagerbench.shown import printable

_OTHERS = "use a variant that runs the module itself, such as sdpa"
# Pattern of a line, and what to say: the most certain first. Groups of the pattern fill the text.
_TELLING = (
    (r"No space left on device|Disk quota exceeded",
     "no space left on a disk while compiling: free some, or set TMPDIR and --artifacts to directories with room"),
    (r"Killed signal terminated program|virtual memory exhausted|out of memory allocating|[Cc]annot allocate memory",
     "not enough memory: free some, or use a smaller model"),
    (r"(\S+): (?:command )?not found|No such file or directory: '(?:\S*/)?(\S*(?:\+\+|gcc|clang)\S*)'",
     "{} is not there: install a C++ compiler (g++), or name one in CXX"),
    (r"No working C\+\+ compiler found",
     "no working C++ compiler: install g++, or name one in CXX"),
    (r"fatal error: ((?:Python|omp|pyconfig)\.h): No such file",
     "the C++ compiler finds no {}: install the headers of this Python and of OpenMP (python3-dev, libgomp)"),
    (r"(cannot find -l\S+)", "the linker says: {}"),
    (r"(?:^|[\s:])(?:fatal )?error: (?!ld returned)(.+)", "the C++ compiler says: {}"),
    (r"Exporting the operator '(\S+)' to ONNX opset version \d+ is not supported",
     "the ONNX exporter knows no {}; use another exporter's variant, such as openvino"),
    (r"with unbacked symints",
     f"torch.compile cannot follow sizes that depend on values of the inputs; {_OTHERS}"),
    (r"Failed to get source for <function (\w+)",
     "TorchScript cannot compile the Python source of {}: use `torchscript`, which traces the model"),
    (r"(\S+): failed to map segment from shared object",
     "{} cannot be loaded, as on a disk mounted noexec: set TMPDIR and --artifacts to directories on another"),
    (r"while running (\w+) node\. Name:.*Status Message: (.+)",
     "ONNX Runtime cannot run the {} of this export ({}); use another exporter's variant, such as onnxruntime"),
)
# Of inductor: its own words, the command, then what the compiler said.
_COMPILED = re.compile(r"compile error\s.*?^Output:\n(.*)", re.DOTALL | re.MULTILINE)
_FRAMES = re.compile(r"collect2: |compilation terminated|.*: In (member )?function |terminate called|\s*$")
_GUARD = "Could not guard on data-dependent expression"
_RETHROWN = ("BackendCompilerFailed", "InductorError", "TorchExportError", "ConversionError")


def cause(error: BaseException) -> str:
    """The telling line of an exception, its causes included, for a table cell: in plain words where the kind is known.

    Looked for in this order: a full disk, a missing or failing compiler, an operator that fails; data-dependent shapes;
    what an exporter's own error was raised from; the last line of OpenVINO's; else the first line.
    """
    errors = list(chain(error))
    texts = [_clean(str(one)) for one in errors]
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    for pattern, words in _TELLING:
        found = next(filter(None, (re.search(pattern, line) for line in lines)), None)
        if found:
            return words.format(*filter(None, found.groups()))
    if output := next(filter(None, map(_compiler_output, texts)), None):
        return f"the C++ compiler says: {output}"
    if any(_GUARD in text for text in texts):
        return f"torch.export cannot follow it: {_data_dependent(texts)}; {_OTHERS}"
    telling = errors[-1] if type(error).__name__ in _RETHROWN else error
    text = _clean(str(telling)).strip()
    if text.startswith("Exception from src/"):
        return f"OpenVINO: {text.splitlines()[-1].strip()}"
    return first_line(telling, text)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised from, or while handling."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or getattr(error, "inner_exception", None) or (
            None if error.__suppress_context__ else error.__context__)


_FATAL = re.compile(r"Fatal Python error: (.+)")
_FRAME = re.compile(r'\s*File "(?:[^"]*/)?([^"/]+)", line (\d+) in (\S+)')


def last_words(printed: str, most: int = 200) -> str:
    """The line of what a process printed before it died that says why: where Python was in a native crash, as
    faulthandler tells, else its last error, else its last line. Empty where it printed nothing."""
    lines = [line.strip() for line in printable(printed).splitlines() if line.strip()]
    fatal = next((place for place, line in enumerate(lines) if _FATAL.search(line)), None)
    if fatal is not None:
        frame = next(filter(None, map(_FRAME.match, lines[fatal:])), None)
        where = " in {2} ({0} line {1})".format(*frame.groups()) if frame else ""
        return f"{_FATAL.search(lines[fatal])[1]}{where}"[:most]
    errors = [line for line in lines if "rror" in line]
    return (errors or lines or [""])[-1][:most]


def _compiler_output(text: str) -> str | None:
    """The first line of a compiler's or linker's output that says something, whatever its language."""
    found = _COMPILED.search(text)
    lines = found[1].splitlines() if found else []
    return next((line.strip() for line in lines if not _FRAMES.match(line)), None)


def _data_dependent(texts: list[str]) -> str:
    places = re.findall(r'File "[^"]*?([^"/]+)", line (\d+), in (\w+)', "\n".join(texts))
    where = " ({}, line {}, in {})".format(*places[-1]) if places else ""
    return f"a size or a branch depends on what the inputs hold{where}"


def _clean(text: str) -> str:
    """Without terminal colours, and without addresses, which are others in every run."""
    return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"\x1b\[[0-9;]*m", "", text))
