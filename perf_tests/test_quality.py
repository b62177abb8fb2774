"""What a variant does to the sentence embeddings, or the labels, of a trained model."""

import pytest


@pytest.mark.experiment("quality")
def test_quality(case, build, measuring):
    """Whether search still finds the same sentence; with `--retrieval` or `--labels`, how many queries or texts get
    the right answer.

    Final number: `quality_loss`, of the `metric` that the record names, with its 95 % interval.
    Sample: pytest perf_tests/test_quality.py --benchmark-only --variant '*int8*' --retrieval pairs.tsv
    """
    with measuring(case, build(case)) as run:
        one_pass = run.call(run.rows, run.batches)  # over all texts, which eager has read too
        run.finish(run.single(one_pass))
