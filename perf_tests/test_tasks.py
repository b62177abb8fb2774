"""Question answering, sequence and token classification, masked LM: whichever the model's head is for."""

import pytest


@pytest.mark.experiment("tasks")
def test_tasks(case, build, measuring):
    """Whether answers, labels and words are the same as eager's, and how fast they come.

    Final number: `predictions_equal`, the share of predictions that are the same as eager's.
    Sample: pytest perf_tests/test_tasks.py --benchmark-only --model bert-base@head=masked-lm --variant '*int8*'
    """
    with measuring(case, build(case)) as run:
        texts = run.inputs
        run.finish(run.in_turns(run.call(texts), run.eager(texts), budget_s=run.series_budget))
