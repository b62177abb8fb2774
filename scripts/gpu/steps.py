"""The steps, in the order of what matters first, each with its command, its limit, and what it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

LATENCY = ("eager", "eager-tf32", "eager-fp16", "eager-bf16", "sdpa", "sdpa-fp16", "sdpa-bf16", "sdpa-flash-fp16",
           "sdpa-flash-bf16", "sdpa-efficient", "sdpa-efficient-fp16", "bettertransformer", "bettertransformer-nested",
           "bettertransformer-slow", "torchscript-freeze", "cuda-graph", "cuda-graph-fp16")
ONNX = ("onnxruntime", "onnxruntime-fused", "onnxruntime-fp16")
PADDING = ("eager", "bettertransformer", "bettertransformer-nested", "sdpa-fp16")
GENERATION = (("gpt2", ("eager", "eager-fp16", "sdpa-fp16", "bnb-int8", "bnb-nf4")),
              ("bloom-560m", ("eager-fp16", "bnb-int8", "bnb-nf4")))
COMPILED = ("torch-compile", "torch-compile-bf16", "torch-compile-dynamic")
SHARES = "one-batch and (p0 or p50 or p90)"  # of padding
BATCHES, LENGTH = "1,8,32,64", "128"
REHEARSED = {"bert-base": "tiny-bert", "gpt2": "tiny-gpt2", "bloom-560m": "tiny-bloom"}

Found = Mapping[str, Any]  # what `inspecting` says of the interpreter and its machine
Need = Callable[[Found], str | None]


@dataclass(frozen=True)
class Step:
    """One process.

    Attributes:
        name: `latency/sdpa`; the step's letter in docs/gpu.md stands before its list.
        arguments: after the interpreter; `{out}` is the directory of its file, `{file}` that file.
        limit_s: it is stopped after these seconds.
        expected_s: what it should take on a GPU of 2023, process start included: an estimate until measured.
        needs: reasons not to run it, the first that holds.
        shares: whether the next one may begin beside it, as sessions can (`eagerbench.machine.quiet`).
        kind: how its outcome is read: `session`, `tests`, `facts`, or `memory` (no process).
    """

    name: str
    arguments: tuple[str, ...]
    limit_s: float
    expected_s: float
    needs: tuple[Need, ...] = ()
    kind: str = "session"
    shares: bool = False

    @property
    def file(self) -> str:
        return self.name.replace("/", "-") + {"tests": ".xml"}.get(self.kind, ".json")


def steps(rehearse: bool = False) -> list[Step]:
    """All of them. A rehearsal runs on the CPU, with tiny models and short times."""
    gpu: tuple[Need, ...] = () if rehearse else (_cuda,)
    device = "cpu" if rehearse else "cuda"

    def session(name: str, test: str, model: str, variant: str, *more: str, limit: float = 60, expected: float = 20,
                needs: tuple[Need, ...] = (), on: str = device) -> Step:
        model, budget = (REHEARSED[model], "0.1") if rehearse else (model, "0.6")
        arguments = ("-m", "pytest", "-p", "no:cacheprovider", "-q", "-rfEs", f"perf_tests/test_{test}.py",
                     "--benchmark-only", "--benchmark-save-data", "--benchmark-json", "{file}", "--artifacts",
                     "{out}/artifacts", "--model", model, "--variant", variant, "--device", on, "--peaks", "here",
                     "--time-budget", budget, *more)
        return Step(name, arguments, limit, expected, (*gpu, *needs), shares=name != "cpu/eager")

    def shapes(batches: str = BATCHES) -> tuple[str, ...]:
        return "--batch-sizes", "1,4" if rehearse else batches, "--sequence-lengths", "16" if rehearse else LENGTH

    def latency(variant: str, **more: Any) -> Step:
        return session(f"latency/{variant}", "latency", "bert-base", variant, *shapes(), **more)

    padded = ("--grid", "smoke") if rehearse else ("--grid", "full", "-k", SHARES)
    tests = ("-m", "pytest", "-p", "no:cacheprovider", "-q", "-rfEs", "correctness_tests/test_gpu.py", "-m", "gpu",
             "--benchmark-disable", "--model", "tiny-bert", "--artifacts", "{out}/artifacts", "--junitxml", "{file}")
    return [
        Step("facts", ("-m", "scripts.gpu.facts", "{file}"), 60, 15, (_cuda,), "facts"),
        Step("correctness", tests, 150, 60, (_cuda,), "tests"),
        *map(latency, LATENCY),
        *(latency(variant, needs=(_onnx_on_gpu, _package("onnx")), limit=120, expected=40) for variant in ONNX),
        *(session(f"padding/{variant}", "padding", "bert-base", variant, *padded) for variant in PADDING),
        session("cpu/eager", "latency", "bert-base", "eager", *shapes(), limit=120, expected=60, on="cpu"),
        *(session(f"generation/{model}/{variant}", "generation", model, variant, limit=90,
                  expected=20 if model == "gpt2" else 40, needs=_for_bitsandbytes(variant))
          for model, variants in GENERATION for variant in variants),
        session("generation/gpt2/accelerate", "generation", "gpt2", "accelerate", "--max-memory",
                "cpu=650KB" if rehearse else "0=400MB,cpu=8GB", limit=90, needs=(_package("accelerate"),)),
        Step("memory", (), 10, 1, gpu, "memory"),
        *(session(f"compile/{variant}", "latency", "bert-base", variant, *shapes("8,32"), limit=150, expected=60)
          for variant in COMPILED),
    ]


def matching(found: list[Step], patterns: list[str]) -> list[Step]:
    """The steps whose names match one of the patterns; all without patterns."""
    return [step for step in found if not patterns or any(fnmatchcase(step.name, pattern) for pattern in patterns)]


def command(step: Step, python: str, out: Path) -> list[str]:
    places = {"{out}": str(out), "{file}": str(out / "steps" / step.file)}
    found = [python]
    for argument in step.arguments:
        for place, value in places.items():
            argument = argument.replace(place, value)
        found.append(argument)
    return found


def _cuda(found: Found) -> str | None:
    return None if found.get("gpu") else f"torch {found['torch']} sees no CUDA device here"


def _package(name: str) -> Need:
    def missing(found: Found) -> str | None:
        return None if name in found["packages"] else f"{name} is not installed"

    return missing


def _onnx_on_gpu(found: Found) -> str | None:
    if "onnxruntime" not in found["packages"]:
        return "onnxruntime is not installed"
    if "CUDAExecutionProvider" not in found["onnx_providers"]:
        return f"onnxruntime {found['packages']['onnxruntime']} has no CUDA provider (it is in onnxruntime-gpu)"
    return None


def _for_bitsandbytes(variant: str) -> tuple[Need, ...]:
    return (_package("bitsandbytes"), _package("accelerate")) if variant.startswith("bnb-") else ()
