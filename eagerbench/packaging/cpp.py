"""The C++ twin of a package: which files of `runners/cpp` belong to a runtime, and what its runner reads."""

from collections.abc import Iterator
from pathlib import Path

from eagerbench.packaging.manifest import Manifest

ROOT = Path(__file__).parents[2] / "runners" / "cpp"


def sources(runtime: str) -> list[Path]:
    """The runner's source and CMakeLists for a runtime, to be copied into `DIR/cpp`; none where it has no runner."""
    return []


def runner_text(manifest: Manifest) -> str:
    """`runner.txt`: lines of `key=value`, for a program without a JSON library. Lists are separated by commas."""
    return "".join(f"{key}={value}\n" for key, value in _lines(manifest))


def _lines(manifest: Manifest) -> Iterator[tuple[str, object]]:
    session = manifest.session
    yield "runtime", session.runtime
    yield "artifact", manifest.artifact
    yield "threads", session.threads
    yield "precision", session.settings.get("INFERENCE_PRECISION_HINT", "")
    yield "level", session.settings.get("graph_optimization_level", "")
    yield "inputs", ",".join(one.name for one in manifest.inputs)
    yield "outputs", ",".join(one.name for one in manifest.outputs)
    yield "rtol", manifest.tolerance.rtol
    yield "atol", manifest.tolerance.atol
