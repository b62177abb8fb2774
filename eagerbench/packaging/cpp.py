"""The C++ twin of a package: which files of `runners/cpp` belong to a runtime, and what its runner reads."""

import re
from collections.abc import Iterator
from pathlib import Path

from eagerbench.backends.onnx_session import LEVELS
from eagerbench.cpp import build
from eagerbench.packaging.manifest import Manifest

ROOT = build.sources()
# Settings of TorchScript that the runner in C++ does not have.
_NOT_TAKEN = ("positional", "optimize_for_inference", "quantized_engine")
_DISTRIBUTIONS = {"onnxruntime": "onnxruntime", "openvino": "openvino", "torchscript": "torch", "aot-inductor": "torch"}


def runtime_name(runtime: str) -> str:
    """As the runners name it: `aot_inductor`."""
    return runtime.replace("-", "_")


def sources(runtime: str) -> list[Path]:
    """The runner's source, headers and CMake files for a runtime, to be copied side by side into `DIR/cpp`.

    None where it has no runner, or where this package is installed without them.
    """
    source = ROOT / f"{runtime_name(runtime)}.cpp"
    if not source.is_file():
        return []
    found, due = [ROOT / "package" / "CMakeLists.txt", ROOT / "runtime.cmake"], [source]
    while due:
        file = due.pop()
        found.append(file)
        included = [ROOT / name for name in re.findall(r'^#include "([\w.]+)"', file.read_text(encoding="utf-8"), re.M)]
        due += [other for other in included if other not in (*found, *due)]
    return found


def twin(manifest: Manifest) -> list[Path]:
    """`sources` where the runner opens the artifact with the same settings."""
    other = any(manifest.session.settings.get(name) for name in _NOT_TAKEN)
    return [] if other else sources(manifest.session.runtime)


def runner_text(manifest: Manifest) -> str:
    """`runner.txt`: lines of `key=value`, for a program without a JSON library. Lists are separated by commas."""
    return "".join(f"{key}={value}\n" for key, value in _lines(manifest))


def _lines(manifest: Manifest) -> Iterator[tuple[str, object]]:
    session = manifest.session
    yield "runtime", runtime_name(session.runtime)
    if session.runtime in _DISTRIBUTIONS:
        yield "version", manifest.packages[_DISTRIBUTIONS[session.runtime]]
    yield "artifact", manifest.artifact
    yield "threads", session.threads
    yield "allocator", session.allocator
    if session.runtime == "openvino":
        yield "precision", session.settings["INFERENCE_PRECISION_HINT"]
    if session.runtime == "onnxruntime":
        wanted = session.settings["graph_optimization_level"]
        yield "level", next(name for name, theirs in LEVELS.items() if theirs == wanted)
    yield "inputs", ",".join(one.name for one in manifest.inputs)
    yield "outputs", ",".join(one.name for one in manifest.outputs)
    yield "rtol", manifest.tolerance.rtol
    yield "atol", manifest.tolerance.atol
