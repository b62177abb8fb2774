"""OpenVINO: calibration apart from the benchmark, outputs in place, read-back of precision, no telemetry."""

from contextlib import nullcontext

import numpy as np
import pytest
from running import run_python

from eagerbench import backends

pytest.importorskip("openvino", reason="not installed: openvino")


def test_calibration_has_no_text_of_the_benchmark():
    from eagerbench.backends.calibration import CALIBRATION_TEXTS
    from eagerbench.workloads.sentences import SENTENCES

    def in_a_row(texts):
        words = [text.lower().split() for text in texts]
        return {tuple(text[start:start + 4]) for text in words for start in range(len(text) - 3)}

    assert len(set(CALIBRATION_TEXTS)) == len(CALIBRATION_TEXTS) >= 64
    assert not in_a_row(CALIBRATION_TEXTS) & in_a_row(SENTENCES)  # not even four words in a row


@pytest.mark.parametrize("model_name", ["minilm", "tiny-bert", "tiny-vit"])
def test_calibration_inputs_are_not_the_benchmarks(workshops, model_name):
    from eagerbench.backends.calibration import calibration_batches
    from eagerbench.workloads import workload

    model = workshops(model_name).model
    batches = calibration_batches(model)
    name = model.input_names[0]
    seen = {row.tobytes() for batch in batches for row in batch[name]}
    assert len(seen) > len(batches)
    for batch in batches[:8]:
        length = batch[name].shape[1]
        benchmark = workload(model.spec, len(batch[name]), length, model.spec.seed).inputs(model)
        assert not seen & {row.tobytes() for row in benchmark[name]}
    if name == "input_ids":
        assert any((batch["attention_mask"] == 0).any() for batch in batches)  # padded as in use
        assert max(batch[name].shape[1] for batch in batches) > 64


def test_outputs_are_views_and_arrays_are_copies(workshops):
    """What a call returns is OpenVINO's own memory; `arrays` of it survive the next call."""
    workshop = workshops("tiny-bert")
    runner = workshop.built("openvino").runner
    first, second = (runner.prepare(workshop.inputs(3, 11, padding_side=side)) for side in ("right", "left"))
    returned = runner(first)
    kept = runner.arrays(returned)
    before = kept["logits"].copy()
    runner(second)
    assert np.array_equal(kept["logits"], before)
    assert not any(np.shares_memory(kept["logits"], value) for value in returned.values())
    assert not np.array_equal(runner.arrays(returned)["logits"], before)  # overwritten: nothing was copied out


def test_inputs_are_not_copied_before_the_call(workshops):
    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(3, 11)
    native = workshop.built("openvino").runner.prepare(inputs)
    assert all(native[name] is inputs[name] for name in native)


def test_emulated_bf16_is_no_bf16_variant(workshops):
    """OpenVINO takes the bf16 hint on any processor with AVX-512: right type in every node, slow, and not engaged."""
    variant, backend = backends.variants()["openvino-bf16"]
    if backend.unavailable(variant, "cpu") is None:
        pytest.skip("this processor has bf16 instructions; the emulation cannot be had here")
    from eagerbench.backends.openvino_runtime import RequestRunner

    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(1, 4)
    built = workshop.built("openvino")
    runner = RequestRunner(built.directory / "model.xml", "bf16", 1)
    runner(runner.prepare(inputs))
    engagement = backend.probe(variant, runner, inputs)
    assert not engagement.engaged
    assert not engagement.facts["native_bf16"]


def test_neither_torch_nor_telemetry_in_a_process_that_loads(workshops, tmp_path):
    """OpenVINO's telemetry is on by default: it writes an id to ~/intel and starts threads that send."""
    directory = workshops("tiny-bert").built("openvino").directory
    done = run_python("-c", f"""
import os, pathlib, sys
os.environ["HOME"] = {str(tmp_path)!r}
from eagerbench import backends
from eagerbench.backends.base import Placement
variant, backend = backends.variants()["openvino"]
runner = backend.load(variant, pathlib.Path({str(directory)!r}), Placement("cpu", 1))
assert runner.threads == 1 and runner.precision == "f32"
print(sorted({{"torch", "nncf"}} & set(sys.modules)), os.listdir({str(tmp_path)!r}),
      [name for name in sys.modules if name.startswith("openvino_telemetry.")])
""")
    assert done.code == 0, done.err
    assert done.out.split("\n")[0] == "[] [] []"


@pytest.mark.parametrize(("gated", "threads", "flags", "refused"), [
    (True, 1, {"amx_bf16"}, True), (True, 2, {"amx_bf16"}, False), (True, 1, {"avx512_bf16"}, False),
    (False, 1, {"amx_bf16"}, False)])
def test_gated_units_on_one_thread_with_amx_are_refused(tmp_path, monkeypatch, gated, threads, flags, refused):
    """They end the process: OpenVINO's issue 33300."""
    import openvino
    import torch

    from eagerbench.backends import openvino_runtime
    from eagerbench.errors import CannotRun

    class Units(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.up, self.down = (torch.nn.Linear(32, 32, bias=False) for _ in range(3))

        def forward(self, states):
            active = torch.nn.functional.silu(self.gate(states))
            return self.down(active * (self.up(states) if gated else states))

    openvino.save_model(openvino.convert_model(Units(), example_input=torch.ones(2, 32)), tmp_path / "model.xml")
    monkeypatch.setattr(openvino_runtime, "_processor_flags", lambda: flags)
    variant = backends.variants()["openvino-bf16"][0]
    with pytest.raises(CannotRun, match="add --threads 2") if refused else nullcontext():
        openvino_runtime.refuse_crash(variant, tmp_path / "model.xml", threads)
    openvino_runtime.refuse_crash(backends.variants()["openvino"][0], tmp_path / "model.xml", threads)
