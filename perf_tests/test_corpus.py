"""Throughput over a corpus of sentences of skewed length, by batch size and batching policy."""

import pytest


@pytest.mark.experiment("corpus")
def test_corpus(case, build, measuring):
    """How fast many sentences are processed, and what sorting by length gains.

    Final number: `sentences_per_s` of the median pass.
    Sample: pytest perf_tests/test_corpus.py --benchmark-only --variant sdpa --corpus sentences.txt --batch-sizes 1,8,64
    """
    with measuring(case, build(case)) as run:
        one_pass, eager = run.call(run.rows, run.batches), run.eager(run.rows, run.batches)
        run.finish(run.in_pairs(one_pass, eager, case.workload.passes))
