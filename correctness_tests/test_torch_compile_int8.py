"""torch.compile on a quantised graph, and with inductor's own matrix products: what the probes tell apart."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.backends import bf16, torch_compile_autotune
from eagerbench.models.loading import LoadedModel
from eagerbench.models.specs import resolve

INT8, DYNAMIC, AUTOTUNED_INT8, AUTOTUNED_BF16 = ("torch-compile-int8", "torch-compile-int8-dynamic",
                                                 "torch-compile-autotune-int8", "torch-compile-autotune-bf16")
SHAPE = 4, 32
BY_TILES = "async_compile.cpp_pybinding(r'''void micro_gemm() { _tile_dpbusd(0, 2, 3); }''')"
BY_LANES = "async_compile.cpp_pybinding(r'''void micro_gemm() { _mm512_dpbusd_epi32(a, b, c); }''')"
NO_PRODUCT = "async_compile.cpp_pybinding(r'''void cpp_fused_gelu() { }''')"


def built(workshop, name):
    """The variant, its backend, a build for SHAPE with tiny-bert, and the inputs."""
    skip_unavailable(name)
    variant, backend = backends.variants()[name]
    inputs = workshop.inputs(*SHAPE)
    runner = backend.build(variant, workshop.model, inputs, workshop.placement)
    return variant, backend, runner, inputs


@pytest.mark.parametrize("name", [INT8, *(pytest.param(name, marks=pytest.mark.slow) for name in (
    DYNAMIC, AUTOTUNED_INT8, AUTOTUNED_BF16))])
def test_every_product_is_narrow_and_right(workshops, name):
    from eagerbench.outputs.tolerance import compare

    workshop = workshops("tiny-bert")
    variant, backend, runner, inputs = built(workshop, name)
    engagement = backend.probe(variant, runner, inputs)
    assert engagement.engaged, engagement.summary
    facts = engagement.facts
    if name in (INT8, DYNAMIC):
        assert facts["int8_products"] == facts["quantised_layers"] == runner.layers > 0
        assert facts["float_products"] == facts["cpp_templates"] == 0
    else:
        assert 0 < facts["templates_timed"] <= facts["tuned_products"]
        assert facts["amx_kernels"] == facts["cpp_kernels"] <= facts["cpp_templates"]
    outputs, expected = runner.arrays(runner(runner.prepare(inputs))), workshop.expected(inputs)
    comparison = compare(outputs, expected.outputs, expected.double, expected.mask, variant.tolerance, False)
    assert not comparison.failures
    assert any(not np.array_equal(outputs[place], expected.outputs[place]) for place in outputs)


@pytest.mark.parametrize("name", [INT8, AUTOTUNED_INT8, AUTOTUNED_BF16])
def test_compiled_float32_is_none_of_them(name):
    from torch._inductor.compile_fx import compile_fx

    from eagerbench.backends.compiled_runner import CompiledRunner

    skip_unavailable("torch-compile")
    inputs = {"input": np.ones((8, 64), np.float32)}
    module = torch.nn.Linear(64, 64).eval().requires_grad_(False)
    runner = CompiledRunner(module, inputs, "cpu", compile_fx, {"freezing": True})
    variant, backend = backends.variants()[name]
    engagement = backend.probe(variant, runner, inputs)
    assert not engagement.engaged
    assert engagement.facts["cpp_templates"] == engagement.facts["templates_timed"] == 0


@pytest.mark.parametrize(("code", "timed", "kept", "engaged"), [
    ([BY_TILES + NO_PRODUCT], 3, 2, True), ([NO_PRODUCT, BY_TILES], 1, 1, True),
    ([NO_PRODUCT], 3, 0, True),  # oneDNN's was faster every time
    ([BY_TILES + BY_LANES], 3, 3, False),  # a fallback on narrower instructions
    ([NO_PRODUCT], 3, 1, False), ([], 0, 0, False), ([BY_TILES], 0, 1, False)])
def test_templates_are_read_from_the_code_that_runs(code, timed, kept, engaged):
    found = torch_compile_autotune.templates(
        SimpleNamespace(code=code, tuned=timed, templates_timed=timed, templates=kept))
    assert found.engaged == engaged
    assert found.facts["cpp_kernels"] == "".join(code).count("micro_gemm")


@pytest.mark.parametrize(("name", "flag"), [(AUTOTUNED_INT8, "amx_int8"), (AUTOTUNED_BF16, "amx_bf16")])
def test_without_tiles_the_reason_says_so(monkeypatch, name, flag):
    variant, backend = backends.variants()[name]
    skip_unavailable("torch-compile-bf16")
    skip_unavailable("torchao-int8")
    monkeypatch.setattr(bf16, "flags", lambda: frozenset({"avx512f", "avx512bw", "avx512_bf16", "amx_tile"}))
    assert f"no AMX product ({flag})" in backend.unavailable(variant, "cpu")


@pytest.mark.parametrize("name", [INT8, AUTOTUNED_INT8, AUTOTUNED_BF16])
def test_without_a_compiler_the_reason_says_so(monkeypatch, name):
    variant, backend = backends.variants()[name]
    skip_unavailable(name)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert backend.unavailable(variant, "cpu") == "no C++ compiler on PATH (inductor needs g++ or clang++)"


def test_what_would_stay_in_float32_is_refused_by_name(placement):
    skip_unavailable(INT8)
    model = LoadedModel(resolve("tiny-bert", 0), torch.nn.TransformerEncoderLayer(8, 2, 16), None, False)
    variant, backend = backends.variants()[INT8]
    with pytest.raises(ValueError, match=r"X86InductorQuantizer leaves the MultiheadAttention and .* in float32"):
        backend.build(variant, model, {}, placement)
