"""Building the runners of `runners/cpp` by CMake: on demand, kept with the artifacts; all of them by `make cpp`.

What a wheel of a runtime lacks is found here too, or named: a compiler, CMake, ONNX Runtime's headers.
"""

import argparse
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.errors import CannotRun, Refused
from eagerbench.shown import one_line, say

PLACE, VARIABLE = "cpp", "EAGERBENCH_CPP"  # below the artifacts; the directory of the runners, for other processes
HEADERS = "ONNXRUNTIME_INCLUDE_DIR"
_HEADER = "onnxruntime_cxx_api.h"
_PLACES = ("include/onnxruntime", "include/onnxruntime/core/session", "include")  # below /usr and /usr/local
_TIMEOUT_S = 900


@dataclass(frozen=True)
class Runtime:
    """What a runner is built from.

    Attributes:
        package: import name of the wheel.
        sources: files of `runners/cpp` besides those that all runners have.
        library: of the wheel, as the running process has it loaded.
    """

    package: str
    sources: tuple[str, ...]
    library: str


RUNTIMES = {
    "openvino": Runtime("openvino", ("openvino.cpp",), "libopenvino.so"),
    "torchscript": Runtime("torch", ("torchscript.cpp", "torch_arrays.hpp"), "libtorch_cpu.so"),
    "aot_inductor": Runtime("torch", ("aot_inductor.cpp", "torch_arrays.hpp"), "libtorch_cpu.so"),
    "onnxruntime": Runtime("onnxruntime", ("onnxruntime.cpp",), "libonnxruntime.so"),
}
_SHARED = ("npy.hpp", "serve.hpp", "runner.hpp", "runtime.cmake")


def sources() -> Path:
    """The directory of the sources: beside this package in a clone, in it in a wheel."""
    here = Path(__file__).parents[1]
    inside = here / "runners" / "cpp"
    return inside if inside.is_dir() else here.parent / "runners" / "cpp"


def files(runtime: str) -> list[Path]:
    """What the runner of a runtime is made of; a package has them beside its own `package/CMakeLists.txt`."""
    return [sources() / name for name in (*RUNTIMES[runtime].sources, *_SHARED)]


def missing(runtime: str) -> str | None:
    """Why the runner cannot be built here; None when it can. Imports no runtime."""
    if importlib.util.find_spec(RUNTIMES[runtime].package) is None:
        return f"not installed: {RUNTIMES[runtime].package}"
    if not sys.platform.startswith("linux"):
        return "the runners in C++ are for Linux"
    if not shutil.which("cmake"):
        return "no cmake to build its runner: install cmake"
    if compiler() is None:
        return "no C++ compiler to build its runner: install g++, or name one in CXX"
    if runtime == "onnxruntime" and headers() is None:
        return (f"no C++ headers of ONNX Runtime: its wheel has none; install libonnxruntime-dev, or set {HEADERS} to "
                f"the directory of {_HEADER}")
    return None


def compiler() -> str | None:
    named = os.environ.get("CXX")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)


def headers() -> Path | None:
    """ONNX Runtime's: of the variable, else those of the system."""
    if given := os.environ.get(HEADERS):
        return Path(given) if (Path(given) / _HEADER).exists() else None
    found = [Path(prefix, inside) for prefix in ("/usr/local", "/usr") for inside in _PLACES]
    return next((directory for directory in found if (directory / _HEADER).exists()), None)


def runner(runtime: str, asan: bool = False, root: Path | None = None) -> Path:
    """The program, built where it is not there yet.

    Args:
        asan: with AddressSanitizer.
        root: where runners are kept.

    Raises:
        CannotRun: something is missing for the build.
        Refused: it fails, with the line that says why.
    """
    root = Path(root or os.environ.get(VARIABLE) or default_root()).absolute()
    root.mkdir(parents=True, exist_ok=True)
    store = ArtifactStore(root)

    def write(directory: Path) -> dict:
        if reason := missing(runtime):
            raise CannotRun(reason)
        _build(runtime, asan, root, directory / "runner")
        return {}

    with (root / ".building").open("a") as lock:  # two processes would each take half a minute of both cores
        fcntl.flock(lock, fcntl.LOCK_EX)
        return store.get(f"{runtime}-asan" if asan else runtime, key(runtime, asan), write).directory / "runner"


def default_root() -> Path:
    from eagerbench.selection import default_artifacts

    return Path(default_artifacts()) / PLACE


def key(runtime: str, asan: bool = False) -> dict:
    """Everything that determines a runner, as JSON."""
    package = RUNTIMES[runtime].package
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in [*files(runtime), *_of_the_suite()]))
    return {"runner": runtime, "asan": asan, "sources": digest.hexdigest(), "machine": platform.machine(),
            "version": importlib.metadata.version(package), "place": str(place(runtime)),
            "headers": str(headers()) if runtime == "onnxruntime" else "", "compiler": compiler() or ""}


def _of_the_suite() -> list[Path]:
    """Files that no package has."""
    return [sources() / name for name in ("CMakeLists.txt", "asan.cpp")]


def place(runtime: str) -> Path:
    """The directory of its wheel."""
    return Path(importlib.util.find_spec(RUNTIMES[runtime].package).submodule_search_locations[0])


def options(runtime: str, links: Path) -> list[str]:
    """CMake's, by which it finds what is installed.

    Args:
        links: a directory that stays: ONNX Runtime's library has its own name there.
    """
    package = place(runtime)
    values = {"CMAKE_CXX_COMPILER": compiler(),
              "CMAKE_PREFIX_PATH": f"{package / 'cmake'};{package / 'share' / 'cmake'}"}
    if runtime == "onnxruntime":
        library = next((package / "capi").glob("libonnxruntime.so*"), None)
        values |= {HEADERS: headers(), "ONNXRUNTIME_LINKS": links}
        values |= {} if library is None else {"ONNXRUNTIME_LIBRARY": library}
    return [f"-D{name}={value}" for name, value in values.items()]


def _build(runtime: str, asan: bool, root: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="eagerbench-cpp-") as scratch:
        configure = ["cmake", "-S", sources(), "-B", scratch, f"-DRUNTIME={runtime}",
                     f"-DASAN={'ON' if asan else 'OFF'}", *options(runtime, root / "links")]
        for command in (configure, ["cmake", "--build", scratch, "--parallel", "1"]):
            done = subprocess.run(["nice", *map(str, command)], capture_output=True, text=True, check=False,
                                  timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL)
            if done.returncode:
                raise Refused(f"the C++ runner of {runtime} cannot be built: {_why(done.stdout + done.stderr)}")
        shutil.move(Path(scratch) / "runner", target)


def _why(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() and not line.startswith(("gmake", "make"))]
    return one_line((errors or lines or ["no word"])[0])


def main(arguments: list[str] | None = None) -> int:
    """Build what can be built here; 0 when all of it was built, else 1."""
    parser = argparse.ArgumentParser(prog="python -m eagerbench.cpp.build", description=main.__doc__)
    parser.add_argument("--asan", action="store_true", help="build with AddressSanitizer")
    parser.add_argument("runtimes", nargs="*", metavar="RUNTIME", help=f"{', '.join(RUNTIMES)} (default: all)")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.runtimes if name not in RUNTIMES]:
        parser.error(f"no runtime {unknown[0]}: use {', '.join(RUNTIMES)}")
    failed = 0
    for name in chosen.runtimes or RUNTIMES:
        try:
            say(one_line(f"{name}: {runner(name, chosen.asan)}"))
        except (CannotRun, Refused, OSError) as reason:
            failed += isinstance(reason, Refused)
            say(one_line(f"{name}: {reason}"), error=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
