"""ONNX Runtime on the CPU with inputs and outputs bound: it reads and writes arrays that are there before the call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eagerbench.backends import onnxruntime
from eagerbench.backends.base import Runs, Variant
from eagerbench.backends.onnx_backend import SessionBackend
from eagerbench.backends.onnx_session import SessionRunner

_DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


@dataclass(frozen=True)
class Bound:
    """A binding with the arrays that it reads and writes: they live as long as it does."""

    binding: Any
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


class BoundRunner(SessionRunner):
    """`session.run_with_iobinding` with outputs allocated in `prepare`.

    An output's shape follows from the names that the export gave its axes, which are those of its inputs' axes. An
    output with another axis is bound to the device and allocated by ONNX Runtime in each call.
    """

    def prepare(self, inputs):
        import onnxruntime

        arrays = {name: np.ascontiguousarray(inputs[name]) for name in self._accepted}
        outputs = self._allocated(arrays)
        binding = self.session.io_binding()
        for name, array in arrays.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        for name in self._names:
            if name in outputs:
                binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(outputs[name]))
            else:
                binding.bind_output(name, "cpu")
        return Bound(binding, arrays, outputs)

    def _allocated(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        sizes = {axis: size for entry in self.session.get_inputs()
                 for axis, size in zip(entry.shape, inputs[entry.name].shape, strict=True) if isinstance(axis, str)}
        shapes = {entry.name: [sizes.get(axis, axis) for axis in entry.shape] for entry in self.session.get_outputs()
                  if entry.type in _DTYPES}
        dtypes = {entry.name: _DTYPES.get(entry.type) for entry in self.session.get_outputs()}
        return {name: np.empty(shape, dtypes[name]) for name, shape in shapes.items()
                if all(isinstance(size, int) for size in shape)}

    def __call__(self, native: Bound) -> list[np.ndarray]:
        self.session.run_with_iobinding(native.binding)
        if len(native.outputs) == len(self._names):
            return [native.outputs[name] for name in self._names]
        return [value.numpy() for value in native.binding.get_outputs()]

    def arrays(self, outputs):
        """Copies: the next call with the same inputs overwrites them."""
        return {name: np.array(value, np.float32) for name, value in zip(self._names, outputs, strict=True)}


class OnnxRuntimeBound(SessionBackend):
    """The file of `onnxruntime`.

    Source: https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html
    """

    variants = (Variant("onnxruntime-iobinding", "exact-math", runs=Runs.WHEN_NAMED),)
    devices = ("cpu",)
    unpackaged = "it is the file of `onnxruntime` with other calls: package that"

    def owner(self, variant):
        plain = onnxruntime.BACKEND
        return plain.variants[0], plain

    def opened_by(self, variant, placement):
        return None

    def load(self, variant, directory, placement):
        return self.session(variant, directory, placement, BoundRunner)

    def cannot_generate(self, variant, cache):
        if cache == "dynamic":
            return "its outputs are as long as its inputs, past key values grow: it generates without a cache only"
        return super().cannot_generate(variant, cache)

    def probe(self, variant, runner, inputs):
        """Engaged when a call writes every output into the array that was there before it."""
        seen = self.seen(variant, runner, inputs)
        names = [output.name for output in runner.session.get_outputs()]
        written = 0
        if isinstance(runner, BoundRunner):
            native = runner.prepare(inputs)
            for array in native.outputs.values():
                array.fill(0)
            found = dict(zip(names, runner(native), strict=True))
            written = sum(found[name] is array and bool(array.any()) for name, array in native.outputs.items())
        seen.facts.update(outputs=len(names), outputs_in_place=written)
        parts = [f"{written} of {len(names)} outputs written in place", *seen.fused_names]
        return self.engagement(seen.as_asked and written == len(names), parts, seen)


BACKEND = OnnxRuntimeBound()
