"""A variant in a process of its own: loads it, calls it, and reports outputs, times and peak memory.

Run as `python -m eagerbench.measuring.fresh_process REQUEST.json`. An artifact is loaded without the model, so a
runtime that needs no torch is measured without torch. The peak is VmHWM of /proc/self/status, which starts anew
with this process (ru_maxrss would inherit the parent's). Nothing runs beside the calls: what is read about the
process is read between them.
"""

import builtins
import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from eagerbench import backends
from eagerbench.backends.base import Arrays, Placement, Runner
from eagerbench.machine import elsewhere, resident
from eagerbench.measuring import own_process
from eagerbench.measuring.own_process import OwnProcess
from eagerbench.measuring.served import Served

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel
    from eagerbench.models.specs import ModelSpec

TIMEOUT_S = 1800
NOTES = "notes"
_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class FreshRun:
    """What a fresh process did.

    Attributes:
        outputs: named float32 arrays of each batch, of its second call.
        first_outputs: those of the first call of the first batch.
        peaks: peak resident bytes while each batch ran; the first one's has the loading in it.
        gpu_peaks: most bytes that torch had allocated on the GPU meanwhile; None on the CPU and without torch.
        steady: resident bytes after each batch's two calls, when their outputs are gone.
        gpu_steady: bytes that torch has allocated on the GPU then.
        weights_bytes: of the weights as the variant holds them; None where its runtime does not say.
        imports_s: seconds inside imports, from the start of loading to the end of the first call.
        load_s: seconds to load the artifact, or the model that the variant is made of, without imports.
        build_s: seconds to make the variant of that model, without imports; 0 for an artifact.
        first_call_s: seconds of the first call, without imports.
    """

    outputs: list[dict[str, np.ndarray]]
    first_outputs: dict[str, np.ndarray]
    peaks: list[int]
    gpu_peaks: list[int | None]
    steady: list[int]
    gpu_steady: list[int | None]
    weights_bytes: int | None
    imports_s: float
    load_s: float
    build_s: float
    first_call_s: float

    @property
    def ready_s(self) -> float:
        """Seconds from a running interpreter to the first outputs."""
        return self.imports_s + self.load_s + self.build_s + self.first_call_s


def run_fresh(variant_name: str, directory: Path | None, spec: "ModelSpec", batches: list[Arrays],
              placement: Placement, allocator: str = "system", state_dict: Path | None = None,
              checkpoint: Path | None = None) -> FreshRun:
    """Run batches, in order, in a new process.

    Args:
        directory: of the variant's artifact; None to build it there from the model of `spec`.
        allocator: `pinned` or `system`.
        state_dict: file of pickled weights to load the model from, instead of how `spec` is loaded.
        checkpoint: directory of the model saved quantised, to be loaded instead of that of `spec`.

    Raises:
        CannotRun: the process ended by a Python exception.
        Crashed: it died, took longer than 30 minutes, or left no result.
    """
    with own_process.scratch() as scratch:
        file = write_request(scratch, variant_name, directory, spec, batches, placement, allocator,
                             state_dict=state_dict and str(state_dict), checkpoint=checkpoint and str(checkpoint))
        process = OwnProcess(variant_name, own_process.command(__name__, file), file.with_name(NOTES))
        try:
            own_process.wait([process], lambda process: process.ended, TIMEOUT_S)
            process.require()
        finally:
            process.close()
        with process.results():
            outputs = [read_arrays(file.with_name(f"out{index}.npz")) for index in range(len(batches))]
            return FreshRun(outputs, read_arrays(file.with_name("first.npz")),
                            **json.loads(file.with_name("facts.json").read_text()))


def write_request(scratch: Path, variant_name: str, directory: Path | None, spec: "ModelSpec",
                  batches: list[Arrays], placement: Placement, allocator: str, **more: Any) -> Path:
    """The file that tells a process of its own what to run, beside its inputs."""
    for index, batch in enumerate(batches):
        np.savez(scratch / f"in{index}.npz", **batch)
    file = scratch / "request.json"
    file.write_text(json.dumps({
        "variant": variant_name, "directory": directory and str(directory), "spec": dataclasses.asdict(spec),
        "placement": dataclasses.asdict(placement), "allocator": allocator, "batches": len(batches), **more}))
    return file


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    with np.load(file) as arrays:
        return dict(arrays)


class Imports:
    """While entered, adds up the seconds of outermost imports: by statement, and by `importlib.import_module`."""

    def __init__(self):
        self.seconds = 0.0
        self._depth = 0
        self._originals = builtins.__import__, importlib.import_module

    def __enter__(self) -> "Imports":
        statement, function = self._originals
        builtins.__import__, importlib.import_module = self._timed(statement), self._timed(function)
        return self

    def __exit__(self, *_: object) -> None:
        builtins.__import__, importlib.import_module = self._originals

    def _timed(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def timed_import(*arguments: Any, **named: Any) -> Any:
            if self._depth:
                return original(*arguments, **named)
            self._depth, start = 1, time.perf_counter()
            try:
                return original(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - start
                self._depth = 0

        return timed_import

    def apart(self, action: Callable[[], _Result]) -> tuple[_Result, float]:
        """What an action returned, and its seconds without imports, and without those that it spends elsewhere."""
        before, start = self.seconds + elsewhere.spent_s(), time.perf_counter()
        result = action()
        return result, time.perf_counter() - start - (self.seconds + elsewhere.spent_s() - before)


class Opened:
    """The variant of a request, loaded in this process; `load_s` and `build_s` as in `FreshRun`."""

    def __init__(self, request: dict, imports: Imports, served: Served):
        self._served = served
        self._request = request
        self._imports = imports
        self._placement = Placement(**request["placement"])
        self._variant, self._backend = backends.variants()[request["variant"]]
        self._runner: Runner | None = None
        self.load_s = self.build_s = 0.0

    def runner(self, batch: Arrays) -> Runner:
        """The runner for a batch: loaded at the first one, built anew for each where a build serves one shape."""
        if self._runner is not None and not self._backend.per_workload:
            return self._runner
        self._runner = None  # its memory goes before the next build takes its own
        if self._request["directory"]:
            self._served.doing("loading its artifact")
            load = self._backend.load
            self._runner, self.load_s = self._imports.apart(
                lambda: load(self._variant, Path(self._request["directory"]), self._placement))
            self._set_torch()
        elif self._request.get("checkpoint"):
            self._runner, self.load_s = self._imports.apart(self._checkpoint)
        else:
            self._served.doing("loading the model")
            model, self.load_s = self._imports.apart(self._model)
            self._served.doing("building")
            self._runner, self.build_s = self._imports.apart(
                lambda: self._backend.build(self._variant, model, batch, self._placement))
        return self._runner

    def _checkpoint(self) -> Runner:
        import torch

        torch.set_num_threads(self._placement.threads)
        runner = self._backend.load_quantised(self._variant, Path(self._request["checkpoint"]), self._placement)
        self._set_torch()
        return runner

    @property
    def weights_bytes(self) -> int | None:
        return self._backend.weights_bytes(self._runner)

    def _model(self) -> "LoadedModel":
        import torch

        torch.set_num_threads(self._placement.threads)
        from eagerbench.backends.torch_runner import exact_float32
        from eagerbench.models import saved
        from eagerbench.models.loading import load
        from eagerbench.models.specs import ModelSpec

        exact_float32()
        spec = ModelSpec(**self._request["spec"])
        if self._request.get("state_dict"):
            return saved.from_state_dict(spec, Path(self._request["state_dict"]), self._placement.device)
        return load(spec, self._placement.device, single_use=True)

    def _set_torch(self) -> None:
        if "torch" in sys.modules:
            from eagerbench.backends.torch_runner import exact_float32

            exact_float32()
            sys.modules["torch"].set_num_threads(self._placement.threads)


def read_request(file: Path) -> tuple[dict, list[Arrays]]:
    """A request and its batches; the allocator is set before anything imports torch."""
    from eagerbench.machine import allocator

    request = json.loads(file.read_text())
    allocator.configure(request["allocator"])
    return request, [read_arrays(file.with_name(f"in{index}.npz")) for index in range(request["batches"])]


def _serve(file: Path, served: Served) -> None:
    request, batches = read_request(file)
    device = request["placement"]["device"]
    facts: dict[str, Any] = {"peaks": [], "gpu_peaks": [], "steady": [], "gpu_steady": []}
    with Imports() as imports:
        opened = Opened(request, imports, served)
        for index, batch in enumerate(batches):
            resident.forget_peaks(device)
            runner = opened.runner(batch)
            process = getattr(runner, "pid", None)  # of a runner whose calls are in a process of their own
            served.doing("making its first call" if index == 0 else "being called")
            native = runner.prepare(batch)
            result, call_s = imports.apart(lambda runner=runner, native=native: runner(native))
            if index == 0:
                np.savez(file.with_name("first.npz"), **runner.arrays(result))
                facts |= {"imports_s": imports.seconds, "load_s": opened.load_s, "build_s": opened.build_s,
                          "first_call_s": call_s}
            del result
            served.doing("being called")
            np.savez(file.with_name(f"out{index}.npz"), **runner.arrays(runner(native)))
            facts["peaks"].append(resident.peak_bytes(process))
            facts["gpu_peaks"].append(resident.gpu_peak_bytes(device))
            facts["steady"].append(resident.bytes_now(process))
            facts["gpu_steady"].append(resident.gpu_bytes(device))
        facts["weights_bytes"] = opened.weights_bytes
    file.with_name("facts.json").write_text(json.dumps(facts))


def _main(file: Path) -> None:
    served = Served(file.with_name(NOTES))
    served.run(lambda: _serve(file, served))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
