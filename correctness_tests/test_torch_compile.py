"""Inductor: what freezing, dynamic shapes and packages are, beyond what every variant's tests ask for."""

import re
import zipfile

import numpy as np
import pytest
import torch
from running import run_python

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.backends.torch_compile import BACKEND

ROWS = {"input": np.ones((8, 64), np.float32)}

LOAD = """
import sys, torch
package = torch._inductor.aoti_load_package(sys.argv[1])
ids = torch.ones(2, 5, dtype=torch.int64)
outputs = package(dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ids))
assert "transformers" not in sys.modules
print(sorted(outputs))
"""


@pytest.mark.parametrize("freezing", [True, False])
def test_freezing_is_seen(freezing):
    """Without it inductor still compiles, and takes the weights unpacked."""
    from torch._inductor.compile_fx import compile_fx

    from eagerbench.backends.compiled_runner import CompiledRunner

    skip_unavailable("torch-compile")
    module = torch.nn.Linear(64, 64).eval().requires_grad_(False)
    runner = CompiledRunner(module, ROWS, "cpu", compile_fx, {"freezing": freezing})
    variant, backend = backends.variants()["torch-compile"]
    engagement = backend.probe(variant, runner, ROWS)
    assert engagement.facts["inductor_graphs"] == 1
    assert engagement.facts["unpacked_products"] == (0 if freezing else 1)
    assert engagement.engaged == freezing


class Branching(torch.nn.Module):
    """Its own Python looks at a value, where no graph can go on."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)

    def forward(self, input):
        states = self.first(input)
        return self.second(states if states.sum().item() > 1e9 else states + 1)


def test_a_module_that_is_cut_into_pieces_is_compiled_all_the_same():
    from torch._inductor.compile_fx import compile_fx

    from eagerbench.backends.compiled_runner import CompiledRunner

    skip_unavailable("torch-compile")
    runner = CompiledRunner(Branching().eval().requires_grad_(False), ROWS, "cpu", compile_fx, {"freezing": True})
    variant, backend = backends.variants()["torch-compile"]
    engagement = backend.probe(variant, runner, ROWS)
    assert engagement.facts["inductor_graphs"] == runner.graphs >= 2
    assert engagement.facts["graph_breaks"] >= 1
    assert engagement.engaged
    assert "the model's own Python cuts it into pieces" in engagement.summary


def test_a_recompilation_is_seen():
    """`test_recompilation_is_seen` of test_engagement.py has a whole model."""
    from torch._inductor.compile_fx import compile_fx

    from eagerbench.backends.compiled_runner import CompiledRunner

    skip_unavailable("torch-compile")
    module = torch.nn.Linear(64, 64).eval().requires_grad_(False)
    runner = CompiledRunner(module, ROWS, "cpu", compile_fx, {"freezing": True})
    other = {"input": ROWS["input"][:3]}
    runner(runner.prepare(other))
    engagement = BACKEND.probe(BACKEND.variants[0], runner, other)
    assert not engagement.engaged
    assert engagement.facts["recompilations"] >= 1


@pytest.mark.slow
def test_one_dynamic_graph_for_all_shapes(workshops):
    """A batch of one and a single token may have graphs of their own, and no call compiles them."""
    skip_unavailable("torch-compile-dynamic")
    workshop = workshops("tiny-bert")
    variant, backend = backends.variants()["torch-compile-dynamic"]
    # Built anew: what other tests gave the shared one may have compiled it again.
    runner = backend.build(variant, workshop.model, workshop.example(), workshop.placement)
    for shape in ((20, 24), (1, 7), (1, 128), (2, 1), (3, 1), (4, 64)):
        at_first = runner.graphs
        native = runner.prepare(workshop.inputs(*shape))
        before = runner.graphs
        assert before == at_first or shape == (2, 1)  # the first single token
        runner(native)
        assert runner.graphs == before, shape
    assert backend.probe(variant, runner, workshop.inputs(2, 1)).engaged


@pytest.mark.parametrize("name", ["aot-inductor"])
def test_package_fits_any_number_of_threads(workshops, name):
    """Inductor otherwise writes the threads of the compiling process into every loop."""
    with zipfile.ZipFile(workshops("tiny-bert").built(name).directory / "model.pt2") as package:
        sources = "".join(package.read(name).decode() for name in package.namelist() if name.endswith(".cpp"))
    assert "#pragma omp parallel" in sources
    assert not re.search(r"num_threads\(\d", sources)


@pytest.mark.slow  # test_artifacts.py loads one of each quicker kind in a process that has no model
@pytest.mark.parametrize("name", ["aot-inductor"])
def test_package_needs_no_transformers(workshops, name):
    directory = workshops("tiny-bert").built(name).directory
    ended = run_python("-c", LOAD, str(directory / "model.pt2"))
    assert (ended.code, ended.out.strip()) == (0, "['logits']"), ended.err
