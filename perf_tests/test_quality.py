"""What a variant does to the sentence embeddings of a trained model."""

import pytest


@pytest.mark.experiment("quality")
def test_quality(case, build, measuring):
    """How far embeddings move, and whether search would still find the same sentence; with `--eval`, how well their
    cosines follow the user's own labels.

    Final number: `neighbours_changed`, the share of sentences with another nearest neighbour than in eager.
    Sample: pytest perf_tests/test_quality.py --benchmark-only --grid full --variant '*int8*' --eval pairs.tsv
    """
    with measuring(case, build(case)) as run:
        embeddings = run.call(run.rows, run.batches)  # of all sentences, which eager has embedded too
        run.finish(run.alone(embeddings, rounds=1, again=False))
