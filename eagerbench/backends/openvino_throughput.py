"""OpenVINO for throughput: the rows of a batch side by side, in as many parts as OpenVINO makes streams."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eagerbench.backends import openvino_convert, openvino_runtime
from eagerbench.backends.base import Engagement, ExportingBackend, Runs, Variant
from eagerbench.backends.openvino_request import RequestRunner
from eagerbench.backends.openvino_runtime import FILE, PRECISIONS
from eagerbench.errors import CannotRun

SUFFIX = "-throughput"  # behind the name of the variant whose artifact it is

Axes = Mapping[str, int | None]


class StreamsRunner(RequestRunner):
    """One asynchronous request a stream, each with a part of the rows; a call starts all, waits, and joins the outputs.

    Every row keeps its padding, so that outputs are those of the whole batch. A batch of fewer rows than streams leaves
    streams idle. It is what `AsyncInferQueue` does, without its callbacks in Python.
    """

    def __init__(self, model: Path, precision: str, threads: int, inputs: Axes, outputs: Axes):
        super().__init__(model, precision, threads, hint="THROUGHPUT")
        self._split, self._joined = inputs, [outputs[name] for name in self._names]
        count = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._requests = [self._compiled.create_infer_request() for _ in range(count)]

    def prepare(self, inputs) -> list[dict[str, np.ndarray]]:
        """The parts. An input without an axis of the batch goes into each."""
        whole = super().prepare(inputs)
        rows = next(array.shape[self._split[name]] for name, array in whole.items() if self._split[name] is not None)
        parts = min(rows, len(self._requests))
        split = {name: [array] * parts if self._split[name] is None else
                 np.array_split(array, parts, axis=self._split[name]) for name, array in whole.items()}
        return [super(StreamsRunner, self).prepare({name: pieces[part] for name, pieces in split.items()})
                for part in range(parts)]

    def __call__(self, native) -> dict[str, np.ndarray]:
        used = self._requests[:len(native)]
        for request, part in zip(used, native, strict=True):
            request.start_async(part, share_inputs=True)
        for request in used:
            request.wait()
        if len(used) == 1:
            return {name: used[0].get_output_tensor(index).data for index, name in enumerate(self._names)}
        return {name: np.concatenate([request.get_output_tensor(index).data for request in used], self._joined[index])
                for index, name in enumerate(self._names)}


class OpenVinoThroughput(ExportingBackend):
    """The artifacts of `openvino` and its kin, compiled with the throughput hint.

    Source: https://docs.openvino.ai/2026/openvino-workflow/running-inference/optimize-inference/high-level-performance-hints.html
    """

    variants = tuple(Variant(f"{one.name}{SUFFIX}", one.tolerance, one.dtype, runs=Runs.WHEN_NAMED)
                     for one in openvino_runtime.BACKEND.variants)
    packages = openvino_runtime.BACKEND.packages
    devices = ("cpu",)
    costly = True
    install = openvino_runtime.BACKEND.install
    unpackaged = "a call of it is several requests side by side; package the variant without -throughput"

    def refuses(self, variant, placement):
        reason = super().refuses(variant, placement)
        if reason or placement.threads > 1:
            return reason
        return "one thread is one stream, with nothing beside it: add --threads 2"

    def owner(self, variant):
        latency = openvino_runtime.BACKEND
        return next(one for one in latency.variants if one.name == variant.name.removesuffix(SUFFIX)), latency

    def export(self, variant, model, example, directory):
        raise TypeError(f"{variant.name} loads the artifact of {self.owner(variant)[0].name}")

    def load(self, variant, directory, placement):
        axes = json.loads((directory / openvino_convert.AXES).read_text())
        if not axes["outputs"] or None in axes["outputs"].values():
            raise CannotRun("the model has an output without an axis of the batch: there are no rows to split")
        # A stream may have one thread.
        openvino_runtime.refuse_crash(variant, directory / FILE, 1, "take openvino-bf16")
        return StreamsRunner(directory / FILE, PRECISIONS[variant.dtype], placement.threads, axes["inputs"],
                             axes["outputs"])

    def build_disengaged(self, variant, model, example, placement):
        """With the latency hint, and for int8 in float32."""
        return RequestRunner(openvino_convert.convert(model, example), "f32", placement.threads)

    def probe(self, variant, runner: Any, inputs):
        """Engaged when OpenVINO made several streams, and its kernels are those of the variant without the suffix."""
        found = openvino_runtime.BACKEND.probe(self.owner(variant)[0], runner, inputs)
        facts = {"streams": runner.streams, **found.facts}
        return Engagement(found.engaged and runner.streams > 1, f"{runner.streams} streams; {found.summary}", facts)


BACKEND = OpenVinoThroughput()
