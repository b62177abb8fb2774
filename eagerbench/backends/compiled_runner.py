"""The runner of torch.compile: counts what dynamo and inductor compile."""

import collections
import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import torch
from torch._dynamo.utils import counters
from torch._inductor import select_algorithm
from torch._inductor.graph import GraphLowering

from eagerbench.backends.base import Arrays
from eagerbench.backends.generating import with_forward
from eagerbench.backends.products import products
from eagerbench.backends.torch_runner import TorchRunner, profiled_operators
from eagerbench.machine import plain_paths

_UNPACKED = ("aten::addmm", "aten::mm", "aten::linear")
# Older torch has no such argument: there two runners that live at once share their graphs' limit.
_ISOLATED = {name: True for name in ("isolate_recompiles",) if name in inspect.signature(torch.compile).parameters}
_living: "weakref.WeakSet[CompiledRunner]" = weakref.WeakSet()


class CompiledRunner(TorchRunner):
    """Compiles at once for the shapes of `example` and counts graphs from then on.

    Dynamo keeps its state per code object: sizes seen in another runner would make this one dynamic, and with a ninth
    module of one class torch would silently stop compiling (`torch._dynamo.config.recompile_limit`). So sizes seen
    are forgotten, each runner has graphs of its own, and those of dead runners are dropped once no other one lives.

    Args:
        compile_graph: dynamo backend, `(graph module, example inputs) -> callable`.
        options: inductor's settings while it compiles. They must be global ones: dynamo reads `freezing` when it
            traces (`torch._dynamo.utils.is_parameter_freezing`), and `torch.compile(options={"freezing": True})` is
            set only after that, and so freezes nothing without a word (torch 2.13.0).
        dynamic: one graph for all sizes of the inputs, or None for the sizes of `example`.

    Attributes:
        code: what inductor wrote for each graph, C++ in Python; none for graphs out of its cache, where no frozen ones
            are.
    """

    def __init__(self, module: torch.nn.Module, example: Arrays, device: str, compile_graph: Callable[..., Any],
                 options: Mapping[str, Any] | None = None, dynamic: bool | None = None):
        plain_paths.for_inductor()
        if not _living:
            torch._dynamo.reset()
        _living.add(self)
        torch._dynamo.pgo.reset_code_state()
        counters.clear()
        self._compiled = compiled = collections.Counter()
        eager = TorchRunner(module, device)
        native = eager.prepare(example)
        self.products = products(module, lambda: eager(native))

        def counting_backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
            # No mention of self: dynamo keeps this function, and with it the runner would live for ever.
            call = compile_graph(graph, inputs)
            compiled["graphs"] += 1  # not before: dynamo starts again when inductor asks for another trace
            return call

        super().__init__(torch.compile(module, backend=counting_backend, dynamic=dynamic, **_ISOLATED), device)
        self._options = dict(options or {})
        self._tuned: list[list[str]] = []
        self.code: list[str] = []
        self.compile_for(example)

    def compile_for(self, inputs: Arrays) -> None:
        """Compile for these sizes too, with the options; the graphs of later calls are recompilations."""
        self._compile(lambda: self(self.prepare(inputs)))

    def generating(self) -> torch.nn.Module:
        """The transformers module with the compiled forward: `module.generate` itself would run the one in Python.

        Every graph of its first `generate()` counts as built, those of later ones as recompilations.
        """
        original = self.module._orig_mod

        @functools.wraps(original.forward)
        def forward(*args, **kwargs):
            return self.module(*args, **kwargs)

        made = with_forward(original, forward)

        def first(*args, **kwargs):
            del made.generate  # later calls are the class's own
            return self._compile(lambda: made.generate(*args, **kwargs))

        made.generate = first
        return made

    def _compile(self, call: Callable[[], Any]) -> Any:
        """What a call returns that compiles, with the options."""
        # Called with the times of the candidates, also where they come from the cache of an earlier run.
        select_algorithm.add_feedback_saver(lambda timings, *_: self._tuned.append(
            [type(choice).__name__ for choice in timings]))
        try:
            with (torch._inductor.config.patch(self._options), warnings.catch_warnings(),
                  mock.patch.object(GraphLowering, "save_output_code", self.code.append)):
                warnings.simplefilter("ignore")  # inductor's own, about TypedStorage
                result = call()
        finally:
            select_algorithm.clear_feedback_savers()
        self.graphs_at_build = self.graphs
        found = counters["inductor"]
        self.cache_hits = found["fxgraph_cache_hit"]
        self.graph_breaks = sum(counters["graph_break"].values())
        self.inductor_graphs = self.cache_hits + sum(found[f"fxgraph_cache_{how}"] for how in ("miss", "bypass"))
        self.tuned = sum(len(candidates) > 1 for candidates in self._tuned)
        self.templates_timed = sum("CppTemplateCaller" in candidates for candidates in self._tuned)
        self.templates = found["cpp_templated_kernel_counter"]
        return result

    @property
    def graphs(self) -> int:
        return self._compiled["graphs"]

    @property
    def recompilations(self) -> int:
        return self.graphs - self.graphs_at_build

    def unpacked_products(self, inputs: Arrays) -> int:
        """Matrix products of one call that took weights as they are; freezing packs them ahead of the first call.

        Products of two activations run by the same operators, and are left out.
        """
        ran = profiled_operators(self, inputs)
        return max(0, sum(ran[name] for name in _UNPACKED) - self.products.free)
