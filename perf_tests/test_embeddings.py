"""Texts to embeddings, with the tokenizer and the pooling in the time."""

import pytest


@pytest.mark.experiment("embeddings")
def test_embeddings(case, build, measuring):
    """How many texts a second become embeddings, and what share of a request is the model.

    Final number: `texts_per_s`, of the median pass over all requests.
    Sample: pytest perf_tests/test_embeddings.py --benchmark-only --variant sentence-transformers --variant onnxruntime
    """
    with measuring(case, build(case)) as run:
        requests, eager = run.call(run.texts), run.eager(run.texts)
        run.finish(run.in_pairs(requests, eager, case.workload.passes))
