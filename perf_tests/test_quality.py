"""What a variant does to the sentence embeddings of a trained model."""

import pytest


@pytest.mark.experiment("quality")
def test_quality(case, build, measure):
    """How far embeddings move, and whether search would still find the same sentence; with `--eval`, how well their
    cosines follow the user's own labels.

    Final number: `neighbours_changed`, the share of sentences with another nearest neighbour than in eager.
    Sample: pytest perf_tests/test_quality.py --benchmark-only --grid full --variant '*int8*' --eval pairs.tsv
    """
    measure(case, build(case))
