"""Paired answers: exact tests and intervals against other implementations and against enumeration."""

import numpy as np
import pytest
from scipy import stats

from eagerbench.paired import Answers, correlation_loss, mean_of, share


def test_answers_are_counted():
    reference = np.array([1, 1, 1, 0, 0, 1], bool)
    other = np.array([1, 0, 0, 1, 0, 1], bool)
    assert Answers.of(reference, other) == Answers(both=2, lost=2, won=1, neither=1)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (1, 0), (13, 14), (38, 19), (28, 14)])
def test_exact_mcnemar(lost, won):
    """By the binomial sums themselves: all outcomes that are no more likely than this one."""
    changed = lost + won
    chances = stats.binom.pmf(np.arange(changed + 1), changed, 0.5)
    expected = chances[chances <= chances[lost] * (1 + 1e-9)].sum()
    assert Answers(100, lost, won, 100).p == pytest.approx(min(1, expected))


def test_interval_of_newcombe():
    """Newcombe's own example (1998, Table II, line (a)): 36, 12, 2, 0 gives 0.0569 to 0.3404 by method 10."""
    loss = Answers(36, 12, 2, 0).loss
    assert loss.value == pytest.approx(0.2)
    assert (loss.low, loss.high) == pytest.approx((0.0569, 0.3404), abs=6e-5)


@pytest.mark.parametrize("shares", [(0.3, 0.01, 0.01, 0.68), (0.85, 0.05, 0.05, 0.05), (0.9, 0.1, 0.0, 0.0)])
def test_interval_holds_the_truth(shares):
    drawn = np.random.default_rng(0).multinomial(96, shares, 1000)
    found = [Answers(*map(int, row)).loss for row in drawn]
    true = shares[1] - shares[2]
    assert np.mean([loss.low <= true <= loss.high for loss in found]) > 0.94


def test_nothing_changed_is_not_nothing_known():
    """The interval of 1,000 items of which none changed is narrow, not empty; of 16 it is wide."""
    many, few = (Answers(items - items // 3, 0, 0, items // 3).loss for items in (999, 15))
    assert (many.value, few.value) == (0, 0)
    assert 0 < many.high < 0.01 < few.high
    assert many.low < 0


@pytest.mark.parametrize("answers", [(10, 0, 0, 0), (0, 0, 0, 10), (0, 10, 0, 0), (0, 0, 1, 0)])
def test_intervals_at_the_ends(answers):
    loss = Answers(*answers).loss
    assert -1 <= loss.low <= loss.value <= loss.high <= 1


def test_share_is_exact():
    """Clopper and Pearson: each end leaves 2.5 % on its other side."""
    found = share(3, 96)
    assert stats.binom.cdf(3, 96, found.high) == pytest.approx(0.025, abs=1e-6)
    assert stats.binom.sf(2, 96, found.low) == pytest.approx(0.025, abs=1e-6)
    assert share(0, 96).low == 0
    assert share(0, 96).high > 0.03


def test_mean_of_differences():
    differences = np.random.default_rng(1).normal(0.1, 1, 400)
    found = mean_of(differences)
    student = stats.ttest_1samp(differences, 0).confidence_interval()
    assert found.value == pytest.approx(differences.mean())
    assert (found.low, found.high) == pytest.approx((student.low, student.high), abs=0.02)
    assert found == mean_of(differences)  # the seed is fixed
    assert (mean_of([0.0] * 9).low, mean_of([0.0] * 9).high) == (None, None)


def test_loss_of_correlation():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=300)
    good, bad = scores + rng.normal(size=300) / 4, scores + rng.normal(size=300) * 2
    found = correlation_loss(good, bad, scores)
    eagers, others = (stats.spearmanr(values, scores).statistic for values in (good, bad))
    assert found.value == pytest.approx(eagers - others)
    assert 0 < found.low < found.value < found.high < 1
    same = correlation_loss(good, good, scores)
    assert (same.value, same.low) == (0, None)
