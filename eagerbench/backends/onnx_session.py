"""An ONNX Runtime session as a runner, on any provider, with I/O binding where the device has memory of its own."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eagerbench.machine import waiting

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# PyTorch's float32 products on CUDA are not rounded to TF32 unless asked; this provider's are.
_CUDA_OPTIONS = {"use_tf32": "0"}
LEVELS = {"none": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "all": "ORT_ENABLE_ALL"}


def settings(threads: int, level: str) -> dict[str, Any]:
    """Of a session, by the names of `SessionOptions`; `entries` are its `add_session_config_entry`."""
    return {"graph_optimization_level": LEVELS[level], "intra_op_num_threads": threads, "log_severity_level": 3,
            "entries": waiting.onnxruntime_entries()}


class SessionRunner:
    """`session.run` on numpy arrays, as its users call it; with I/O binding, on arrays that lie on the device.

    Bound, a call copies nothing between host and device: `prepare` puts the inputs there, outputs stay there until
    `arrays` asks for them. https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html

    Args:
        model: path of an ONNX file, or its bytes.
        nodes: operator types with counts: `exported`, before any fusion, and `saved`, as the file has them.
        device: `cpu` or `cuda:N`.
        level: graph optimisation level, a key of LEVELS.
        provider: execution provider; by default that of the device.
        provider_options: its options, besides `device_id`.
        bind: use I/O binding; by default on every device but the CPU.

    Raises:
        ValueError: ONNX Runtime did not load the provider and used another.
    """

    def __init__(self, model: Path | bytes, nodes: Mapping[str, Mapping[str, int]], device: str, threads: int,
                 level: str = "all", provider: str | None = None,
                 provider_options: Mapping[str, Any] | None = None, bind: bool | None = None):
        self._model = model if isinstance(model, bytes) else str(model)
        self._requested = threads, level
        self.nodes = nodes
        self.device = device
        self._device, _, index = device.partition(":")
        self._device_id = int(index or 0)
        self.provider = provider or PROVIDERS[self._device]
        own = {"device_id": str(self._device_id)} if self._device != "cpu" else {}
        if self.provider == PROVIDERS["cuda"]:
            own |= _CUDA_OPTIONS
        self._provider_options = {**own, **(provider_options or {})}
        self._bind = self._device != "cpu" if bind is None else bind
        self.session = self._open()
        self._names = [output.name for output in self.session.get_outputs()]
        self._accepted = [entry.name for entry in self.session.get_inputs()]

    def _open(self, profile_prefix: str | None = None):
        import onnxruntime

        if self._device == "cuda":
            onnxruntime.preload_dlls()  # CUDA's libraries from the installed packages, in a process without torch
        wanted = settings(*self._requested)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel,
                                                   wanted["graph_optimization_level"])
        options.intra_op_num_threads = wanted["intra_op_num_threads"]
        options.log_severity_level = wanted["log_severity_level"]
        for entry, value in wanted["entries"].items():
            options.add_session_config_entry(entry, value)
        if profile_prefix:
            options.enable_profiling = True
            options.profile_file_prefix = profile_prefix
        session = onnxruntime.InferenceSession(self._model, options,
                                               providers=[(self.provider, self._provider_options)])
        if session.get_providers()[0] != self.provider:
            raise ValueError(f"{self.provider} did not load: ONNX Runtime took {session.get_providers()[0]} instead")
        return session

    def prepare(self, inputs):
        arrays = {name: np.ascontiguousarray(inputs[name]) for name in self._accepted}
        return self._bound(self.session, arrays) if self._bind else arrays

    def _bound(self, session, arrays):
        """Inputs copied to the device, and outputs bound to it, whatever their shapes."""
        import onnxruntime

        binding = session.io_binding()
        for name, array in arrays.items():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(array, self._device, self._device_id)
            binding.bind_ortvalue_input(name, value)
        for name in self._names:
            binding.bind_output(name, self._device, self._device_id)
        return binding

    def __call__(self, native):
        if not self._bind:
            return self.session.run(self._names, native)
        self.session.run_with_iobinding(native)
        native.synchronize_outputs()
        return native.get_outputs()

    def arrays(self, outputs):
        if self._bind:
            outputs = [value.numpy() for value in outputs]
        return {name: np.asarray(value, np.float32) for name, value in zip(self._names, outputs, strict=True)}

    @property
    def level(self) -> str:
        """Graph optimisation level, read back from the session."""
        level = self.session.get_session_options().graph_optimization_level.name
        return next(name for name, theirs in LEVELS.items() if theirs == level)

    @property
    def threads(self) -> int:
        return self.session.get_session_options().intra_op_num_threads

    def profiled_nodes(self, inputs) -> list[dict[str, Any]]:
        """Each node that ran in one call: `op_name`, `provider`, `input_type_shape` and more.

        Read from ONNX Runtime's profile of a second session with the same settings, so that the timed one
        is never profiled. https://onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html
        """
        with tempfile.TemporaryDirectory() as scratch:
            session = self._open(str(Path(scratch) / "profile"))
            session.run(self._names, {name: np.ascontiguousarray(inputs[name]) for name in self._accepted})
            events = json.loads(Path(session.end_profiling()).read_text())
        return [event["args"] for event in events if event.get("name", "").endswith("_kernel_time")]
