"""Backends that generate by a loop of their own."""

from eagerbench.experiments.generation import Prompt
from eagerbench.measuring import greedy
from eagerbench.outputs.parting import judge


def generates_eagers_tokens(workshop, name: str) -> None:
    """Without a static cache; with a dynamic one and without any, every token and logit as eager's."""
    work = Prompt(3, 9, 6, "dynamic")
    built = workshop.built(name)
    assert "a dynamic cache or none" in built.backend.cannot_generate(built.variant, "static")
    expected = greedy.expected(workshop.model, work.inputs(workshop.model), work.new_tokens)
    for cache in ("dynamic", "none"):
        module = built.backend.generator(built.variant, built.runner, workshop.model, cache, workshop.placement)
        generate = greedy.Greedy(module, expected.inputs, work.new_tokens, cache, "cpu")
        found = generate.generated(generate())
        parting, comparison = judge(found, expected.generated, expected.double, built.variant.tolerance, False)
        assert parting.at is None
        assert not comparison.failures
        assert [len(clock) for clock in generate.clocks] == [work.new_tokens]
