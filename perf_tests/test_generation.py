"""Greedy generation by causal language models, with and without a key-value cache."""

import pytest


@pytest.mark.experiment("generation")
def test_generation(case, build, measuring):
    """How soon the first token comes, how fast the others follow, and whether they are the same as eager's.

    Final number: `tokens_per_s`, new tokens of all texts divided by the seconds of `generate()`.
    Sample: pytest perf_tests/test_generation.py --benchmark-only --grid full --model gpt2 --variant 'onnx*'
    """
    with measuring(case, build(case)) as run:
        generate, eager = run.greedy(run.inputs), run.eager(run.inputs)
        run.finish(run.in_pairs(generate, eager, run.pairs))
