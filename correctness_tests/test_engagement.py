"""Probes: each sees its optimisation, and misses it when it is switched off."""

import pytest
from refusals import DECODERS_ONLY

from conftest import COMPILED_SHAPE, skip_unavailable
from eagerbench import backends
from eagerbench.backends.torch_runner import TorchRunner, bf16_products, onednn_primitives


@pytest.mark.parametrize("model_name", ["tiny-bert", "minilm"])
def test_probe_sees_the_optimisation(workshops, model_name, variant_name):
    workshop = workshops(model_name)
    skip_unavailable(variant_name)
    variant, backend = backends.variants()[variant_name]
    # Another shape than the exported one, and a batch of one: both have made compilers start again.
    inputs = workshop.inputs(*(COMPILED_SHAPE if backend.per_workload else (1, 16)))
    runner = workshop.built(variant_name).runner
    if backend.per_workload and getattr(runner, "recompilations", 1):  # other tests gave it other shapes
        runner = backend.build(variant, workshop.model, inputs, workshop.placement)
    for _ in range(3):
        runner(runner.prepare(inputs))
    engagement = backend.probe(variant, runner, inputs)
    assert engagement.engaged, engagement.summary
    assert not engagement.facts.get("graph_breaks"), "no model of the catalog has any of its own"


def test_probe_misses_it_when_switched_off(workshops, variant_name):
    variant, backend = backends.variants()[variant_name]
    missing = [name for name in backend.packages if not _installed(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    workshop = workshops("tiny-gpt2" if variant_name.startswith(DECODERS_ONLY) else "tiny-bert")
    inputs = workshop.example()
    runner = backend.build_disengaged(variant, workshop.model, inputs, workshop.placement)
    runner(runner.prepare(inputs))
    assert not backend.probe(variant, runner, inputs).engaged


def test_bf16_without_bf16_kernels_is_no_bf16_variant(workshops):
    """What PyTorch does in silence on an older processor: right outputs, slow, and not engaged."""
    variant, backend = backends.variants()["eager-bf16"]
    if backend.unavailable(variant, "cpu") is None:
        pytest.skip("this processor has bf16 instructions; the fallback cannot be had here")
    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(2, 8)
    runner = backend.build(variant, workshop.model, inputs, workshop.placement)
    engagement = backend.probe(variant, runner, inputs)
    assert not engagement.engaged
    assert "no oneDNN kernel" in engagement.summary or "emulated" in engagement.summary


@pytest.mark.slow  # test_torch_compile.py has a quick one
def test_recompilation_is_seen(workshops):
    skip_unavailable("torch-compile")
    workshop = workshops("tiny-bert")
    variant, backend = backends.variants()["torch-compile"]
    runner = backend.build(variant, workshop.model, workshop.inputs(2, 8), workshop.placement)
    inputs = workshop.inputs(3, 9)
    runner(runner.prepare(inputs))
    engagement = backend.probe(variant, runner, inputs)
    assert not engagement.engaged
    assert engagement.facts["recompilations"] >= 1


def test_onednn_log_is_read_from_a_real_primitive():
    """The linear layer that inductor calls runs by oneDNN on every x86 processor; in float32 it is no bf16 product."""
    import numpy as np
    import torch

    class Linear(torch.nn.Module):
        def forward(self, rows):
            return torch.ops.mkldnn._linear_pointwise(rows, torch.ones(64, 64), None, "none", [], "")

    lines = onednn_primitives(TorchRunner(Linear()), {"rows": np.ones((8, 64), np.float32)})
    assert any(",inner_product," in line for line in lines)
    assert bf16_products(lines) == (0, [])


def test_bf16_products_are_told_by_source_and_kind():
    """Lines as oneDNN 3.12 prints them: a bf16 product, a float32 one, and a bf16 reorder."""
    line = ("onednn_verbose,v1,primitive,exec,cpu,{kind},{kernel},undef,src:{dtype}::blocked:ab::f0 "
            "wei:{dtype}::blocked:ab::f0 dst:{dtype}::blocked:ab::f0,,,64x64:64x64,0.1")
    lines = [line.format(kind="matmul", kernel="brg_matmul:avx10_1_512_amx", dtype="bf16"),
             line.format(kind="inner_product", kernel="brgemm:avx2", dtype="f32"),
             line.format(kind="reorder", kernel="jit:uni", dtype="bf16")]
    assert bf16_products(lines) == (1, ["brg_matmul:avx10_1_512_amx"])


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None
