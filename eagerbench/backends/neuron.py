"""AWS Neuron: `torch_neuronx.trace`, one compiled graph of one shape; smaller batches are padded to it."""

import tempfile
from pathlib import Path

from eagerbench.backends.base import Engagement, ExportingBackend, Variant


class Neuron(ExportingBackend):
    """Matrix products run in bf16: the compiler casts them unless it is told otherwise (`--auto-cast`).

    Inputs and outputs are CPU tensors, hence device cpu.
    Source: AWS Neuron documentation, "PyTorch NeuronX Tracing API for Inference" (`torch_neuronx.trace`).
    """

    variants = (Variant("neuron", "reduced-precision", "bfloat16"),)
    packages = ("torch_neuronx", "torch", "transformers")
    devices = ("cpu",)
    per_workload = True
    costly = True
    install = "pip install torch-neuronx, from the package index of AWS's Neuron documentation"

    def unavailable(self, variant, device):
        reason = super().unavailable(variant, device)
        if reason is None and not list(Path("/dev").glob("neuron*")):
            return "no Neuron device on this machine (/dev/neuron*)"
        return reason

    def bf16_unavailable(self):
        return None  # the accelerator's dtype, not the processor's

    def export(self, variant, model, example, directory):
        import torch_neuronx

        from eagerbench.backends.fixed_shape import write

        write(model, example, directory, torch_neuronx.trace)

    def load(self, variant, directory, placement):
        import torch_neuronx  # noqa: F401 registers the operators of the artifact

        from eagerbench.backends.fixed_shape import load

        return load(directory)

    def build_disengaged(self, variant, model, example, placement):
        """The same wrapper traced by `torch.jit.trace`: the graph stays on the processor."""
        import torch

        from eagerbench.backends.fixed_shape import load, write

        with tempfile.TemporaryDirectory() as scratch:
            write(model, example, Path(scratch), torch.jit.trace)
            return load(Path(scratch))

    def probe(self, variant, runner, inputs):
        calls = str(runner.module.inlined_graph).count("neuron::forward")
        return Engagement(calls > 0, f"{calls} compiled Neuron graphs", {"neuron_graphs": calls})


BACKEND = Neuron()
