"""IPEX: which patterns it fuses, and that it leaves other variants' graphs alone."""

import importlib.util
import re
import subprocess
import sys

import pytest

from conftest import skip_unavailable
from eagerbench import backends

GRAPH_VARIANTS = {
    # Two layers: linear + gelu and linear + add need oneDNN's packing, which IPEX takes for bf16 only.
    "ipex-torchscript": {"multi_head_attention": 2, "linear_gelu": 0, "linear_add": 0, "add_layer_norm": 5},
    "ipex-torchscript-bf16": {"multi_head_attention": 2, "linear_gelu": 2, "linear_add": 4, "add_layer_norm": 1},
}


@pytest.fixture
def ipex_workshop(workshops):
    skip_unavailable("ipex")
    return workshops("tiny-bert")


@pytest.mark.parametrize("name", GRAPH_VARIANTS)
def test_fused_patterns(ipex_workshop, name):
    skip_unavailable(name)
    built = ipex_workshop.built(name)
    facts = built.backend.probe(built.variant, built.runner, ipex_workshop.inputs(4, 16)).facts
    assert {pattern: facts[f"fused_{pattern}"] for pattern in GRAPH_VARIANTS[name]} == GRAPH_VARIANTS[name]


def test_other_graphs_are_not_fused_by_it(ipex_workshop):
    """Its import registers passes for every graph of the process."""
    import torch

    inputs = ipex_workshop.inputs(4, 16)
    ipex_workshop.run("ipex-torchscript", inputs)
    variant, backend = backends.variants()["torchscript-freeze"]
    runner = backend.build_disengaged(variant, ipex_workshop.model, inputs, ipex_workshop.placement)
    runner.module = torch.jit.freeze(runner.module)
    for _ in range(3):
        runner(runner.prepare(inputs))
    graph = str(torch._C._last_executed_optimized_graph())
    assert "aten::linear" in graph
    assert not re.search(r"\bipex\w*::", graph)


def test_plan_says_how_to_install_it_and_does_not_import_it():
    code = ("import sys; from eagerbench import backends; variant, backend = backends.variants()['ipex']; "
            "print(backend.unavailable(variant, 'cpu')); sys.exit('intel_extension_for_pytorch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installed = importlib.util.find_spec("intel_extension_for_pytorch") is not None
    expected = "None" if installed else "not installed: intel_extension_for_pytorch (run: make env-ipex)"
    assert done.stdout.strip() == expected
