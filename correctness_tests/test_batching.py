"""Batching policies: nothing lost, nothing twice, budgets kept, order restored, outputs those of any other policy."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eagerbench import backends
from eagerbench.measuring.sentences import Pass, expected_of, judge, of_sentences
from eagerbench.workloads.batching import POLICIES, bucketed, by_length, in_order, padded_tokens, restored, token_budget
from eagerbench.workloads.corpus import Corpus

lengths_of_sentences = st.lists(st.integers(1, 200), min_size=1, max_size=60)
SENTENCES = 24


@pytest.mark.parametrize("policy", list(POLICIES))
@given(lengths=lengths_of_sentences, batch_size=st.integers(1, 70))
def test_every_sentence_is_in_one_batch(policy, lengths, batch_size):
    batches = POLICIES[policy](lengths, batch_size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batches)


@given(lengths=lengths_of_sentences, batch_size=st.integers(1, 70))
def test_sizes_and_budgets_are_kept(lengths, batch_size):
    for policy in (in_order, by_length):
        batches = policy(lengths, batch_size)
        assert all(len(batch) == batch_size for batch in batches[:-1])
        assert len(batches[-1]) <= batch_size
    budget = token_budget(lengths, batch_size)
    batches = bucketed(lengths, batch_size)
    assert all(padded_tokens(lengths, [batch]) <= budget or len(batch) == 1 for batch in batches)
    for batch, after in itertools.pairwise(batches):  # and no batch was closed with room for one more
        assert (len(batch) + 1) * max(lengths[i] for i in [*batch, after[0]]) > budget


@given(lengths=lengths_of_sentences, batch_size=st.integers(1, 70))
def test_what_sorting_does_to_padding(lengths, batch_size):
    """Whole batches of sorted sentences have the least padding that batches of one size can have."""
    whole = lengths[:len(lengths) // batch_size * batch_size]
    if whole:
        assert padded_tokens(whole, by_length(whole, batch_size)) <= padded_tokens(whole, in_order(whole, batch_size))
    assert [lengths[batch[0]] for batch in by_length(lengths, 1)] == sorted(lengths, reverse=True)
    assert padded_tokens(lengths, in_order(lengths, 1)) == sum(lengths)


@pytest.mark.parametrize("policy", list(POLICIES))
@given(lengths=lengths_of_sentences, batch_size=st.integers(1, 70))
def test_order_is_restored(policy, lengths, batch_size):
    """Outputs of both kinds, a row a sentence and a row a token, come back in the order of the sentences."""
    batches = POLICIES[policy](lengths, batch_size)
    assert restored(batches, batches) == list(range(len(lengths)))
    outputs = []
    for batch in batches:
        widest = max(lengths[index] for index in batch)
        states = np.full((len(batch), widest, 2), -1.0)
        for row, index in enumerate(batch):
            states[row, :lengths[index]] = index
        outputs.append({"last_hidden_state": states, "logits": np.asarray(batch, float)[:, None]})
    found = of_sentences(outputs, batches, lengths)
    order = np.arange(len(lengths))
    assert np.array_equal(found["logits"][:, 0], order)
    assert np.array_equal(found["last_hidden_state"][:, 1], np.repeat(order, lengths))
    assert np.array_equal(found["sentence_embedding"][:, 0], order)


def test_a_bucket_is_filled_by_tokens():
    assert bucketed([10, 1, 1, 1, 1, 1], 4) == [[0], [1, 2, 3, 4, 5]]  # a budget of 12: 4 sentences of 3 on average
    assert bucketed([500, 1], 1) == [[0], [1]]
    # one long sentence does not widen the batches of the others
    assert bucketed([80, 10, 10, 10, 10, 10, 10], 2) == [[0], [1, 2, 3, 4], [5, 6]]


@pytest.fixture
def passes(workshops, variant_name):
    """`run(policy, rows, batch_size)`, a pass of the variant over rows; and the rows of a corpus."""
    if backends.variants()[variant_name][1].per_workload:
        pytest.skip("its build serves one shape")
    workshop = workshops("tiny-bert")
    built = workshop.built(variant_name)

    def run(policy, rows, batch_size):
        """Batches, and what each sentence got, judged."""
        expected = expected_of(rows, workshop.model, workshop.reference)
        batches = POLICIES[policy](expected.lengths, batch_size)
        outputs = Pass(built.runner, rows, batches, workshop.model)()
        assert not judge(outputs, batches, expected, built.variant.tolerance, pretrained=False).failures
        return batches, of_sentences(outputs, batches, expected.lengths)

    return run, Corpus(SENTENCES).tokenised(workshop.model).rows


def test_policies_give_the_same_outputs(passes):
    """Within the tolerance class where the shapes of batches differ, and to the bit where they are the same: alone."""
    run, rows = passes
    for policy in POLICIES:
        run(policy, rows, 8)
    usual = np.median([len(row) for row in rows])
    alike = [row for row in rows if 0.75 * usual < len(row) < 1.5 * usual]  # a bucket has no room for two of these
    alone = []
    for policy in POLICIES:
        batches, of_each = run(policy, alike, 1)
        assert {len(batch) for batch in batches} == {1}
        alone.append(of_each)
    assert all(np.array_equal(other[name], alone[0][name]) for other in alone[1:] for name in alone[0])


def test_exchanged_sentences_are_caught(workshops):
    workshop = workshops("tiny-bert")
    rows = Corpus(SENTENCES).tokenised(workshop.model).rows
    expected = expected_of(rows, workshop.model, workshop.reference)
    batches = by_length(expected.lengths, 8)
    outputs = Pass(workshop.reference.runner, rows, batches, workshop.model)()
    assert not judge(outputs, batches, expected, "exact-math", pretrained=False).failures
    batches[0][0], batches[0][1] = batches[0][1], batches[0][0]
    assert judge(outputs, batches, expected, "exact-math", pretrained=False).failures
