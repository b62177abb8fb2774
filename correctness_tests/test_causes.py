"""Which line of an exception becomes a cell's reason: errors as compilers and exporters really raise them."""

import errno

import pytest

from eagerbench.causes import cause

_COMPILER = """CppCompileError: C++ compile error

Command:
g++ /tmp/t/x.main.cpp -I/my dir/include -o /tmp/t/x.so

Output:
{}"""


class InductorError(RuntimeError):
    """Of torch._inductor, which raises it from the compiler's own."""


class TorchExportError(Exception):
    """Of torch.onnx, which raises it from torch.export's own."""


@pytest.mark.parametrize(("output", "says"), [
    ("cc1plus: fatal error: dir/include: No such file or directory\ncompilation terminated.",
     "the C++ compiler says: dir/include: No such file or directory"),
    ("/tmp/t/x.cpp:2:10: fatal error: Python.h: No such file or directory\n    2 | #include <Python.h>",
     "the C++ compiler finds no Python.h: install the headers"),
    ("/tmp/t/x.cpp: In function 'f':\n/tmp/t/x.cpp:7:3: error: 'y' was not declared in this scope",
     "the C++ compiler says: 'y' was not declared in this scope"),
    ("/tmp/ccX.s: Assembler messages:\n/tmp/ccX.s: Fatal error: can't write 10 bytes: No space left on device",
     "no space left on a disk while compiling: free some, or set TMPDIR and --artifacts"),
    ("/usr/bin/ld: cannot find -lgomp: No such file or directory\ncollect2: error: ld returned 1 exit status",
     "the linker says: cannot find -lgomp"),
    ("g++: fatal error: Killed signal terminated program cc1plus", "not enough memory"),
    ("/usr/bin/ld: cannot open output file /x/y.so: Permission denied\ncollect2: error: ld returned 1 exit status",
     "the C++ compiler says: /usr/bin/ld: cannot open output file /x/y.so: Permission denied"),
    ("x.cpp:3: undefined reference to `foo'\ncollect2: error: ld returned 1 exit status",
     "the C++ compiler says: x.cpp:3: undefined reference to `foo'"),
    ("cc1plus: Datei oder Verzeichnis nicht gefunden", "the C++ compiler says: cc1plus: Datei"),
    ("as: libc.so.6: version `GLIBC_2.38' not found (required by as)", "the C++ compiler says: as: libc.so.6: version"),
    ("sh: 1: g++: not found", "g++ is not there: install a C++ compiler"),
    ("bash: line 1: clang++: command not found", "clang++ is not there: install a C++ compiler"),
])
def test_the_compilers_own_line_is_shown(output, says):
    assert cause(InductorError(_COMPILER.format(output))).startswith(says)


def test_a_compiler_that_cannot_be_started():
    error = InductorError("FileNotFoundError")
    error.__cause__ = FileNotFoundError(errno.ENOENT, "No such file or directory", "/opt/bin/g++")
    assert cause(error) == "g++ is not there: install a C++ compiler (g++), or name one in CXX"


def test_a_library_that_cannot_be_loaded_from_its_disk():
    error = InductorError("OSError")
    error.__cause__ = OSError("/x/y.so: failed to map segment from shared object")
    assert cause(error).startswith("/x/y.so cannot be loaded, as on a disk mounted noexec: set TMPDIR")


def test_exporters_are_put_in_plain_words():
    guard = RuntimeError("Could not guard on data-dependent expression 8*u1 < 16 (unhinted: 8*u1 < s53).\n\nThe "
                         "following call raised this error:\n"
                         '  File "/venv/models/modeling_longformer.py", line 707, in _chunk\n')
    error = TorchExportError("Failed to export the model with torch.export. \x1b[96mThis is step 1/3\x1b[0m of it")
    error.__cause__ = guard
    assert cause(error) == ("torch.export cannot follow it: a size or a branch depends on what the inputs hold "
                            "(modeling_longformer.py, line 707, in _chunk); use a variant that runs the module itself, "
                            "such as sdpa")
    error.__cause__ = TypeError("the real one")
    assert cause(error) == "TypeError: the real one"
    node = RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Non-zero status code returned while running "
                        "RotaryEmbedding node. Name:'node_RotaryEmbedding_4' Status Message: Inputs 'cos_cache' differ")
    assert cause(node).startswith("ONNX Runtime cannot run the RotaryEmbedding of this export (Inputs 'cos_cache' ")
    unknown = RuntimeError("Exporting the operator 'aten::fft_fftn' to ONNX opset version 17 is not supported. Please")
    assert cause(unknown) == ("the ONNX exporter knows no aten::fft_fftn; use another exporter's variant, such as "
                              "openvino")
    unbacked = TypeError("evaluate_min(9223372036854775807, s22) with unbacked symints")
    assert cause(unbacked).startswith("torch.compile cannot follow sizes that depend on values of the inputs; use a ")
    openvino = RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp:224:\nException from node.cpp:7:\n"
                            "[cpu]reshape: the shape of input data (2.4) conflicts with the pattern (3)\n\n\n")
    assert cause(openvino) == "OpenVINO: [cpu]reshape: the shape of input data (2.4) conflicts with the pattern (3)"


def test_any_other_error_keeps_its_first_line():
    assert cause(ValueError("first\nsecond")) == "ValueError: first"
    assert cause(KeyError()) == "KeyError"
    assert cause(ValueError("thing at 0x7f00ab\x1b[1m bold\x1b[0m")) == "ValueError: thing bold"
    looped = ValueError("a")
    looped.__context__ = KeyError("b")
    looped.__context__.__context__ = looped
    assert cause(looped) == "ValueError: a"
