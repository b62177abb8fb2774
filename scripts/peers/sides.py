"""The processes of a repeat: bare loops, other tools, and our own sessions, each with how its number is read."""

import importlib.util
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eagerbench.machine.wait_policy import DEFAULT, ENVIRONMENTS, VARIABLES
from scripts.peers.prepare import Files

ROOT = Path(__file__).parents[2]
LOOPS = Path(__file__).parent / "loops"
TOOLS = ROOT / ".venv-peers"  # of those that need transformers 4
PLAIN, PINNED = "system", "pinned"  # glibc's allocator as tools and users have it, and as our sessions have it
OURS = ("eager", "sdpa", "onnxruntime", "openvino")
OURS_INT8 = ("onnxruntime-int8", "openvino-int8")
EMBEDDINGS = ("sentence-transformers", "onnxruntime", "openvino")
_BENCHMARK_APP = ("import sys; sys.modules['openvino_telemetry'] = None; "
                  "from openvino.tools.benchmark.main import main; main()")
_PERF_TEST = Path(importlib.util.find_spec("onnxruntime").origin).parent / "transformers" / "bert_perf_test.py"
_SAMPLES = 10  # of bert_perf_test


class NoNumber(Exception):
    """A process ended well and left no number that can be used."""


Read = Callable[[str], dict[str, float]]


@dataclass(frozen=True)
class Side:
    """A process of a repeat.

    Attributes:
        keys: what it gives numbers of.
        package: whose version stands beside an error, of the interpreter `python`.
        read: seconds of a call, by key, of what it prints.
        missing: why it cannot run here, with what to do.
    """

    keys: tuple[str, ...]
    command: tuple[str | Path, ...]
    read: Read
    allocator: str
    package: str
    python: Path
    missing: str = ""

    def environment(self, threads: int, seconds: float) -> dict[str, str]:
        """Tools and plain loops get no variable of ours; pinned loops what our sessions have."""
        kept = {name: value for name, value in os.environ.items()
                if name not in VARIABLES and not name.startswith("PYTHON")}
        ours = ENVIRONMENTS[DEFAULT] if self.allocator == PINNED else {}
        return {**kept, **ours, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads), "PEERS_THREADS": str(threads),
                "PEERS_SECONDS": str(seconds), "PEERS_ALLOCATOR": self.allocator}


@dataclass(frozen=True)
class Repeat:
    """What the sides of a repeat are made of.

    Attributes:
        files: of the model.
        every: whether int8 is measured too.
        call_s: seconds of a call, by key, as far as they are known.
    """

    files: Files
    batch: int
    length: int
    threads: int
    seconds: float
    every: bool
    scratch: Path
    artifacts: Path
    call_s: dict[str, float]

    @property
    def shape(self) -> str:
        return f"{self.batch}x{self.length}"

    def sides(self) -> list[Side]:
        return [*self._bare(), *self._benchmark_app(), *self._perf_test(), *self._optimum(), *self._ctranslate2(),
                *self._sessions()]

    def _bare(self) -> Iterator[Side]:
        files, arrays = self.files, self.files.inputs[self.shape]
        loops = {"openvino": ("openvino", files.artifacts["openvino"], arrays),
                 "onnxruntime": ("onnxruntime", files.artifacts["onnxruntime"], arrays),
                 "sdpa": ("torch", files.directory, arrays),
                 "sentence-transformers": ("encode", files.directory, files.texts[self.shape])}
        if self.every:
            loops |= {name: (name.removesuffix("-int8"), files.artifacts[name], arrays) for name in OURS_INT8}
        for name, (loop, *arguments) in loops.items():
            for allocator in (PLAIN, PINNED):
                theirs = name == "sdpa" and allocator == PLAIN  # what a tool with transformers 4 is compared with
                python = TOOLS / "bin" / "python" if theirs else Path(sys.executable)
                yield Side((f"bare/{name}",), (python, LOOPS / f"loop_{loop}.py", *arguments), printed(f"bare/{name}"),
                           allocator, "torch", python, _missing() if theirs else "")

    def _benchmark_app(self) -> Iterator[Side]:
        inputs = Path(self.files.inputs[self.shape]).with_suffix("")
        names = sorted(file.stem for file in inputs.glob("*.npy"))
        given = ("-i", ",".join(f"{name}:{inputs / name}.npy" for name in names))
        shapes = ",".join(f"{name}[{self.batch},{self.length}]" for name in names)
        runs = {"latency": ("openvino", "latency", "-data_shape"), "static": ("openvino", "latency", "-shape"),
                "throughput": ("openvino", "throughput", "-shape")}
        if self.every:
            runs |= {"int8": ("openvino-int8", "latency", "-data_shape"),
                     "int8-throughput": ("openvino-int8", "throughput", "-shape")}
        for name, (variant, hint, option) in runs.items():
            key = f"tool/benchmark_app-{name}"
            yield Side((key,), (sys.executable, "-c", _BENCHMARK_APP, "-m", self.files.artifacts[variant], "-d", "CPU",
                                "-hint", hint, option, shapes, "-infer_precision", "CPU:f32", "-t",
                                str(max(1, round(self.seconds))), *given),
                       of_benchmark_app(key, hint == "throughput"), PLAIN, "openvino", Path(sys.executable))

    def _perf_test(self) -> Iterator[Side]:
        for variant in ("onnxruntime", *(("onnxruntime-int8",) if self.every else ())):
            key = f"tool/bert_perf_test{variant.removeprefix('onnxruntime')}"
            call_s = self.call_s.get(f"bare/{variant}", 0.05)
            times = max(1, math.ceil(self.seconds / call_s / _SAMPLES))
            model = self.scratch / f"{self.files.name.rpartition('/')[2]}-{variant}.onnx"  # it writes beside the model
            if not model.exists():
                model.symlink_to(self.files.artifacts[variant])
            yield Side((key,), (sys.executable, _PERF_TEST, "--model", model, "-b", str(self.batch), "-s",
                                str(self.length), "--samples", str(_SAMPLES), "-t", str(times), "-n",
                                str(self.threads), "--input_ids_name", "input_ids", "--segment_ids_name",
                                "token_type_ids", "--input_mask_name", "attention_mask"),
                       of_perf_test(key), PLAIN, "onnxruntime", Path(sys.executable))

    def _optimum(self) -> Iterator[Side]:
        python = TOOLS / "bin" / "python"
        for launcher in ("process", "inline"):
            key = f"tool/optimum-benchmark-{launcher}"
            yield Side((key,), (python, LOOPS / "tool_optimum_benchmark.py", launcher, self.files.directory,
                                str(self.batch), str(self.length)),
                       printed(key), PLAIN, "optimum-benchmark", python, _missing())

    def _ctranslate2(self) -> Iterator[Side]:
        python = TOOLS / "bin" / "python"
        for kind in ("float32", *(("int8",) if self.every else ())):
            key = f"tool/ctranslate2-{kind}"
            yield Side((key,), (python, LOOPS / "loop_ctranslate2.py", self.files.ctranslate2,
                                self.files.inputs[self.shape], kind),
                       printed(key), PLAIN, "ctranslate2", python,
                       _missing() or self.files.ctranslate2_error)

    def _sessions(self) -> Iterator[Side]:
        common = ("--model", self.files.name, "--threads", str(self.threads), "--batch-sizes", str(self.batch),
                  "--artifacts", self.artifacts, "--no-report", "--benchmark-save-data")
        yield self._session("latency", (*OURS, *(OURS_INT8 if self.every else ())),
                            (*common, "--sequence-lengths", str(self.length), "--time-budget",
                             str(2 * self.seconds)))
        yield self._session("embeddings", EMBEDDINGS, (*common, "--corpus", self.files.texts[self.shape]))

    def _session(self, experiment: str, variants: Sequence[str], arguments: Sequence[str | Path]) -> Side:
        file = self.scratch / f"{experiment}.json"
        file.unlink(missing_ok=True)
        prefix = "ours/" if experiment == "latency" else f"ours/{experiment}:"
        named = [word for name in variants for word in ("--variant", name)]
        return Side(tuple(f"{prefix}{name}" for name in variants),
                    (sys.executable, "-m", "eagerbench", "run", f"test_{experiment}.py", *arguments, *named,
                     "--benchmark-json", file, "--benchmark-storage", f"file://{self.scratch}/saved"),
                    lambda _: of_session(file, prefix), PINNED, "torch", Path(sys.executable))


def _missing() -> str:
    return "" if (TOOLS / "bin" / "python").exists() else f"{TOOLS.name} is missing: run make env-peers"


def printed(key: str) -> Read:
    """Of a script of `loops`: its last line is JSON."""
    def read(out: str) -> dict[str, float]:
        lines = [line for line in out.splitlines() if line.startswith("{")]
        if not lines:
            raise NoNumber("it printed no number")
        return {key: json.loads(lines[-1])["seconds"]}
    return read


def of_benchmark_app(key: str, throughput: bool) -> Read:
    """The median of its latencies; of the throughput hint the seconds a call that several at once come to."""
    def read(out: str) -> dict[str, float]:
        found = {name: re.search(rf"{name}:\s+([\d.]+)\s+(us|ms|iterations)", out)
                 for name in ("Median", "Count", "Duration")}
        if not throughput and found["Median"]:
            return {key: float(found["Median"][1]) * (1e-6 if found["Median"][2] == "us" else 1e-3)}
        if throughput and found["Count"] and found["Duration"]:
            return {key: 1e-3 * float(found["Duration"][1]) / float(found["Count"][1])}
        raise NoNumber("it printed no latency")
    return read


def of_perf_test(key: str) -> Read:
    """The median in the table that it writes."""
    def read(out: str) -> dict[str, float]:
        written = re.search(r"Test summary is saved to (.+)", out)
        if not written:
            raise NoNumber("it wrote no table")
        header, values = (line.split("\t") for line in Path(written[1]).read_text().splitlines()[:2])
        Path(written[1]).unlink()
        return {key: 1e-3 * float(values[header.index("Latency_P50")])}
    return read


def of_session(file: Path, prefix: str) -> dict[str, float]:
    """Medians of a saved run, of what can be used."""
    if not file.exists():
        raise NoNumber("it saved no file")
    found = {}
    for bench in json.loads(file.read_text())["benchmarks"]:
        record = bench["extra_info"]
        if record["conditions"].get("usable", True):
            found[f"{prefix}{record['identity']['variant']}"] = bench["stats"]["median"]
    if not found:
        raise NoNumber("other work disturbed it")
    return found
