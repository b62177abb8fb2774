"""Every variant of a GPU on the tiny models: outputs, probes, negative tests, placement, generation, memory.

`scripts/gpu.sh` runs them (`-m gpu`). Without a CUDA device the module is skipped as one, with that reason.
"""

import re
import time

import numpy as np
import pytest
import torch
from refusals import expected as refusal

from conftest import Workshop
from eagerbench import backends
from eagerbench.backends.base import ExportingBackend, Placement
from eagerbench.backends.building import build
from eagerbench.errors import CannotRun
from eagerbench.outputs.tolerance import compare

if not torch.cuda.is_available():
    pytest.skip(f"torch {torch.__version__} sees no CUDA device here", allow_module_level=True)

pytestmark = pytest.mark.gpu

DEVICE = "cuda:0"
EXACT = ("eager", "eager-bf16", "sdpa", "sdpa-bf16", "bettertransformer", "bettertransformer-nested",
         "bettertransformer-slow", "torchscript-freeze")
ONLY = tuple(name for name, (_, backend) in backends.variants().items() if backend.devices == ("cuda",))
OTHERS = ("onnxruntime", "onnxruntime-fused", "bnb-nf4", "bnb-int8")
VARIANTS = tuple(dict.fromkeys((*EXACT, *ONLY, *OTHERS)))
MODELS = ("tiny-bert", "tiny-distilbert", "tiny-vit", "tiny-gpt2")
FULL = "sdpa-flash-fp16", "sdpa-flash-bf16"  # flash attention takes no mask


@pytest.fixture(scope="module")
def on_gpu(store, selection):
    """`on_gpu(model)`: the workshop of a model whose reference and variants are on the GPU."""
    from eagerbench.backends.torch_runner import exact_float32

    exact_float32()
    made = {}
    return lambda name: made.setdefault(name, Workshop(name, store, Placement(DEVICE, selection.threads)))


def inputs_of(workshop, tried, rows=5, length=16):
    """Padded rows, or full ones for a kernel without masks."""
    inputs = workshop.inputs(rows, length)
    if tried in FULL and "attention_mask" in inputs:
        inputs = {**inputs, "attention_mask": np.ones_like(inputs["attention_mask"])}
    return inputs


def built_or_skipped(workshop, tried, inputs):
    """Skips with the reason of this GPU or of these packages, or with the refusal that `refusals.py` expects."""
    variant, backend = backends.variants()[tried]
    if reason := backend.refuses(variant, workshop.placement):
        pytest.skip(reason)
    pattern = refusal(tried, workshop.model.spec.name, workshop.placement.threads)
    try:
        return build(tried, workshop.model, inputs, workshop.placement, workshop.store)
    except CannotRun as reason:
        if pattern is None or not re.search(pattern, str(reason)):
            raise
        pytest.skip(str(reason))


@pytest.mark.parametrize("model_name", MODELS)
@pytest.mark.parametrize("tried", VARIANTS)
def test_outputs_match_eager_and_the_probe_sees_why(on_gpu, tried, model_name):
    workshop = on_gpu(model_name)
    inputs = inputs_of(workshop, tried)
    built = built_or_skipped(workshop, tried, inputs)
    expected = workshop.reference.compute(inputs)
    for _ in range(3):
        outputs = built.runner(built.runner.prepare(inputs))
    found = compare(built.runner.arrays(outputs), expected.outputs, expected.double, expected.mask,
                    built.variant.tolerance, False)
    assert not found.failures
    engagement = built.backend.probe(built.variant, built.runner, inputs)
    assert engagement.engaged, engagement.summary


@pytest.mark.parametrize("tried", VARIANTS)
def test_the_probe_misses_it_when_switched_off(on_gpu, tried):
    workshop = on_gpu("tiny-bert")
    variant, backend = backends.variants()[tried]
    if reason := backend.refuses(variant, workshop.placement):
        pytest.skip(reason)
    inputs = inputs_of(workshop, tried)
    runner = backend.build_disengaged(variant, workshop.model, inputs, workshop.placement)
    runner(runner.prepare(inputs))
    assert not backend.probe(variant, runner, inputs).engaged


def test_a_kernel_that_takes_no_mask_says_so(on_gpu):
    workshop = on_gpu("tiny-bert")
    with pytest.raises(CannotRun, match=r"no attention kernel of this kind accepts this batch: .*mask"):
        build("sdpa-flash-fp16", workshop.model, workshop.inputs(5, 16), workshop.placement, workshop.store)


def test_a_graph_replays_other_inputs_than_it_was_captured_with(on_gpu):
    workshop = on_gpu("tiny-bert")
    first, second = workshop.inputs(4, 16), workshop.inputs(4, 16)
    second = {**second, "input_ids": second["input_ids"][::-1].copy(),
              "attention_mask": second["attention_mask"][::-1].copy()}
    runner = build("cuda-graph", workshop.model, first, workshop.placement, workshop.store).runner
    expected = workshop.reference.compute(second)
    outputs = runner.arrays(runner(runner.prepare(second)))
    assert not compare(outputs, expected.outputs, expected.double, expected.mask, "exact-math", False).failures


def test_eager_float32_is_float32(on_gpu):
    """Neither products nor convolutions are rounded to TF32: the reference is as near to float64 as on the CPU."""
    for name in ("tiny-bert", "tiny-vit", "tiny-wav2vec2"):
        workshop = on_gpu(name)
        expected = workshop.reference.compute(workshop.inputs(5, 16))
        for output, exact in expected.double.items():
            error = np.sqrt(np.mean((expected.outputs[output] - exact) ** 2) / np.mean(exact ** 2))
            assert error < 5e-6, f"{name} {output}"


def test_device_times_clocks_and_memory_are_read(on_gpu):
    from eagerbench.measuring.gpu_memory import GpuMemory
    from eagerbench.measuring.gpu_observer import observer
    from eagerbench.measuring.turns import Schedule, Turns

    workshop = on_gpu("tiny-bert")
    inputs = workshop.inputs(4, 16)
    memory = GpuMemory(DEVICE)
    with memory.building():
        runner = build("sdpa", workshop.model, inputs, workshop.placement, workshop.store).runner
    eager = workshop.reference.runner
    native = runner.prepare(inputs)
    seen = observer(DEVICE, runner, eager)
    turns = Turns(lambda: runner(native), lambda: eager(native), Schedule(2, 3, 1.0), [seen])
    walls = []
    with seen.watching():
        for _ in range(6):
            turns.before_round()
            began = time.perf_counter()
            turns.variant()
            walls.append(time.perf_counter() - began)
            turns.after_round()
    found = seen.record()
    assert 0 < found.device_s <= max(walls)
    assert len(found.device_turns_s) == 2
    assert len(found.gpu_sm_mhz) == 4
    assert memory.peak(lambda: runner(native)) >= workshop.model.parameter_bytes


@pytest.mark.parametrize("tried", ["eager", "eager-fp16", "eager-tf32", "sdpa-fp16"])
@pytest.mark.parametrize("model_name", ["tiny-gpt2", "tiny-bloom"])
def test_generation(on_gpu, model_name, tried):
    from eagerbench.experiments.generation import Prompt
    from eagerbench.measuring.greedy import Greedy, expected
    from eagerbench.outputs.parting import judge

    workshop, work = on_gpu(model_name), Prompt(3, 9, 6, "dynamic")
    wanted = expected(workshop.model, work.inputs(workshop.model), work.new_tokens)
    built = built_or_skipped(workshop, tried, wanted.inputs)
    assert built.backend.cannot_generate(built.variant, "dynamic") is None
    module = built.backend.generator(built.variant, built.runner, workshop.model, "dynamic", workshop.placement)
    greedy = Greedy(module, wanted.inputs, work.new_tokens, work.cache, workshop.model.device)
    _, comparison = judge(greedy.generated(greedy()), wanted.generated, wanted.double, built.variant.tolerance,
                          pretrained=False)
    assert not comparison.failures


@pytest.mark.parametrize(("limits", "spread"), [((), False), ((("0", "600KB"), ("cpu", "8GB")), True),
                                                ((("0", "600KB"), ("cpu", "200KB")), True)])
def test_accelerate_places_on_the_gpu_and_beside_it(on_gpu, limits, spread):
    """`--device-map auto` alone puts everything on the GPU; with limits the rest waits on the CPU, and on disk."""
    workshop = on_gpu("tiny-gpt2")
    variant, backend = backends.variants()["accelerate"]
    placement = Placement(DEVICE, workshop.placement.threads, "auto", limits)
    if reason := backend.refuses(variant, placement):
        pytest.skip(reason)
    inputs = workshop.inputs(4, 16)
    runner = build("accelerate", workshop.model, inputs, placement, workshop.store).runner
    expected = workshop.reference.compute(inputs)
    outputs = runner.arrays(runner(runner.prepare(inputs)))
    assert not compare(outputs, expected.outputs, expected.double, expected.mask, variant.tolerance, False).failures
    engagement = backend.probe(variant, runner, inputs)
    assert engagement.engaged is spread, engagement.summary
    assert engagement.facts["bytes_on_cuda_0"] > 0
    elsewhere = {"bytes_on_cpu", "bytes_on_disk"} & set(engagement.facts)
    assert bool(elsewhere) is spread
    assert "bytes_on_disk" not in elsewhere or limits[1][1] == "200KB"


def test_exported_variants_are_listed():
    """What is built by export has its artifact keyed by the GPU."""
    from eagerbench.backends.building import _gpu

    assert any(isinstance(backends.variants()[name][1], ExportingBackend) for name in VARIANTS)
    assert set(_gpu(DEVICE)) == {"gpu", "cuda"}
    assert _gpu("cpu") == {}
