"""Values of eager's that are not finite or stand for a mask: equal in the same place, an error anywhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made

from eagerbench.outputs.places import set_apart
from eagerbench.outputs.predictions import nearest_rows
from eagerbench.outputs.tolerance import CLASSES, Comparison, compare, relative_distance

ODD = (np.nan, np.inf, -np.inf)
MASKS = (-1e4, -65504.0, -1e9, float(np.finfo(np.float32).min), -np.inf)
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 8)).astype(np.float32)


def masked(value: float, logits: np.ndarray = LOGITS) -> np.ndarray:
    """Logits of which every other column is masked."""
    found = logits.copy()
    found[:, ::2] = value
    return found


def judged(got: np.ndarray, eager: np.ndarray, class_name: str = "exact-math", double: np.ndarray | None = None,
           mask: np.ndarray | None = None, name: str = "logits") -> Comparison:
    exact = eager.astype(np.float64) if double is None else double
    return compare({name: got}, {name: eager}, {name: exact}, mask, class_name, pretrained=True)


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("odd", ODD)
def test_what_only_the_variant_has_fails(class_name, odd):
    got = LOGITS.copy()
    got[2, 3] = odd
    line, = judged(got, LOGITS, class_name).failures
    assert f"1 values are not finite, first {odd:g} at (2, 3) where eager has {LOGITS[2, 3]:g}" in line
    assert judged(np.full_like(LOGITS, odd), LOGITS, class_name).failures


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("odd", ODD)
def test_what_eager_has_too_is_equal_and_counted(class_name, odd):
    eager = masked(odd)
    found = judged(eager, eager, class_name)
    assert (found.failures, found.nonfinite, found.masked, found.judged) == ((), 24, 0, 24)
    assert (found.max_abs_error, found.rmse_ratio) == (0, 1)
    assert found.cosine == pytest.approx(1)


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize(("eagers", "other"), [(a, b) for a in ODD for b in (*ODD, 0.5, 1e30) if str(a) != str(b)
                                               and (a, b) != (np.inf, 1e30)])
def test_another_value_in_eagers_place_fails(class_name, eagers, other):
    got, eager = masked(eagers), masked(eagers)
    got[4, 6] = other
    line, = judged(got, eager, class_name).failures
    assert "1 of 24 values where eager has" in line
    assert f"first {other:g} at (4, 6) where eager has {eagers:g}" in line


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("value", MASKS)
def test_a_mask_value_hides_no_error(class_name, value):
    """With −1e9 among the logits an RMS of 7e8 would be the unit of every tolerance."""
    eager, double = masked(value), masked(value).astype(np.float64)
    double[:, ::2] = np.finfo(np.float64).min if value == MASKS[3] else value
    assert not judged(eager, eager, class_name, double).failures
    wrong = masked(value, -LOGITS)
    assert judged(wrong, eager, class_name, double).failures
    assert judged(LOGITS, eager, class_name).failures  # the mask is gone


def test_what_a_cast_makes_of_a_mask():
    """float16 and bf16 have no −3.4e38; only variants that may compute in them may have −∞ for −1e9."""
    least, half = float(np.finfo(np.float32).min), -65504.0
    for eagers, got, exact_too in ((least, -np.inf, True), (-np.inf, least, True), (-1e9, -np.inf, False),
                                   (-1e9, half, False), (half, -np.inf, False), (-np.inf, half, False)):
        for class_name in CLASSES:
            fails = bool(judged(masked(got), masked(eagers), class_name).failures)
            assert fails == (class_name == "exact-math" and not exact_too), (eagers, got, class_name)
    for class_name in CLASSES:
        assert judged(masked(np.inf), masked(-1e9), class_name).failures
        assert judged(masked(-np.inf), masked(-1e4), class_name).failures  # float16 has −10,000


def test_added_masks_are_judged_by_their_own_size():
    added, other = masked(0) + masked(-1e9, 0 * LOGITS), masked(0) + masked(-1.1e9, 0 * LOGITS)
    assert judged(added, added).masked == 24
    assert judged(other, added, "reduced-precision").failures == ()  # beyond float16: both are its −∞
    assert "are different" in judged(other, added).failures[0]


def test_large_numbers_are_no_masks():
    """Prices, and the few large activations of a state among many sizes: nothing stands out by 100 times."""
    prices = RNG.lognormal(12, 0.5, (6, 1)).astype(np.float32)
    assert not set_apart(prices).any()
    assert judged(prices * 1.01, prices).failures
    spread = np.float32(10.0) ** np.arange(-3, 7)
    assert not set_apart(spread).any()
    assert not set_apart(np.full((3, 3), -1e9, np.float32)).any()


def test_float64_is_finite_where_float32_overflows():
    eager, double = masked(np.inf), masked(1e39, LOGITS.astype(np.float64))
    assert not judged(eager, eager, double=double).failures
    double[:, 1] = np.nan  # and where float64 alone is not, eager is compared with and float64 is not
    assert not judged(eager, eager, double=double).failures
    wrong = eager.copy()
    wrong[0, 1] += 1
    assert judged(wrong, eager, double=double).failures


@pytest.mark.parametrize("odd", ODD)
def test_padded_positions_do_not_count_whatever_is_there(odd):
    states = RNG.normal(size=(20, 5, 4)).astype(np.float32)
    mask = np.ones((20, 5), int)
    mask[:, 3:] = 0
    eager = states.copy()
    eager[:, 3:] = odd
    found = judged(states, eager, mask=mask, name="last_hidden_state")
    assert (found.failures, found.nonfinite, found.agreement) == ((), 0, 1.0)
    assert judged(eager, states, mask=mask, name="last_hidden_state").agreement == 1.0


def test_nothing_left_to_compare_is_said():

    from eagerbench.results.tables import _judging

    eager = np.full((4, 3), np.nan, np.float32)
    found = judged(eager, eager)
    assert (found.failures, found.judged, found.cosine) == ((), 0, 1.0)
    record = made(workload="b4-s8", bench_id="m/eager/b4/s8/cpu", equal_nonfinite=12, judged_values=0)
    assert _judging([record]) == [
        "Up to 12 not finite in eager's output: equal in every row above, and excluded from its errors.",
        "No other value was left to compare in m/eager/b4/s8/cpu."]
    assert _judging([made()]) == []


def test_no_values_at_all():
    empty = np.zeros((0, 3), np.float32)
    assert judged(empty, empty).failures == ()
    nothing = compare({}, {}, {}, None, "exact-math", pretrained=False)
    assert nothing.failures == ("outputs [] instead of []",)


def test_distance_leaves_them_out():
    for value in (*ODD, *MASKS):
        assert relative_distance({"x": masked(value)}, {"x": masked(value)}, None) == 0
        assert relative_distance({"x": masked(value, 2 * LOGITS)}, {"x": masked(value)}, None) == pytest.approx(1)
        assert np.isfinite(relative_distance({"x": LOGITS}, {"x": masked(value)}, None))
    zero = np.zeros_like(LOGITS)
    assert relative_distance({"x": zero}, {"x": zero}, None) == 0
    assert relative_distance({"x": LOGITS}, {"x": zero}, None) == np.inf


def test_a_row_that_is_not_finite_is_nobodys_neighbour():
    rows = RNG.normal(size=(5, 3))
    rows[2] = np.nan
    assert 2 not in nearest_rows(rows)[[0, 1, 3, 4]]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data(), class_name=st.sampled_from(list(CLASSES)))
def test_eager_is_always_equal_to_itself(data, class_name):
    """Whatever values it gives, finite or not, in whatever places."""
    shape = data.draw(st.tuples(st.integers(0, 5), st.integers(1, 5)))
    values = st.one_of(st.sampled_from([*ODD, *MASKS, 0.0]), st.floats(-5, 5, width=32))
    eager = np.array(data.draw(st.lists(values, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])),
                     np.float32).reshape(shape)
    assert judged(eager, eager, class_name).failures == ()
    if eager.size:
        wrong = eager.copy()
        place = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
        wrong[place] = data.draw(st.sampled_from([other for other in ODD if str(np.float32(other)) != str(wrong[place])
                                                  and np.sign(other) != np.sign(wrong[place])]))
        assert judged(wrong, eager, class_name).failures


def test_generation_with_masked_words():
    """A vocabulary of which some words are suppressed: −∞ in the logits of every token."""
    from eagerbench.outputs.parting import Generated, judge, largest_gap

    logits = np.random.default_rng(1).normal(size=(2, 4, 30)).astype(np.float32)
    bound = largest_gap(logits, "reduced-precision")
    logits[..., :5] = -np.inf
    eager = Generated(logits.argmax(-1), logits)
    assert largest_gap(logits, "reduced-precision") == pytest.approx(bound, rel=0.2)
    parting, comparison = judge(eager, eager, logits.astype(np.float64), "reduced-precision", pretrained=False)
    assert (parting.at, comparison.failures, comparison.nonfinite) == (None, (), 40)
    suppressed = Generated(np.where(np.arange(4) == 2, 0, eager.ids), logits)
    parting, comparison = judge(suppressed, eager, logits.astype(np.float64), "reduced-precision", pretrained=False)
    assert (parting.at, parting.gap) == (3, np.inf)
    assert "parts from eager's tokens at token 3" in comparison.failures[-1]


def test_a_module_that_masks_its_logits():
    """Eager and its frozen trace, on a module whose logits are −∞ and −1e9 in places."""
    import torch

    from eagerbench.backends.torch_runner import TorchRunner
    from eagerbench.backends.tracing import trace
    from eagerbench.measuring.reference import Reference
    from eagerbench.models.loading import LoadedModel
    from eagerbench.models.specs import ModelSpec

    class Masking(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = torch.nn.Embedding(50, 16), torch.nn.Linear(16, 6)

        def forward(self, input_ids):
            logits = self.head(self.words(input_ids).mean(1))
            allowed = torch.arange(6) % 3 != 0
            return {"logits": logits.masked_fill(~allowed, float("-inf")), "soft": logits + (~allowed) * -1e9}

    torch.manual_seed(0)
    module = Masking().eval()
    model = LoadedModel(ModelSpec("masking", "factory", "a:b", 0, None), module, None, False)
    inputs = {"input_ids": np.arange(24).reshape(4, 6) % 50}
    expected = Reference(model, "cpu").compute(inputs)
    for runner in (TorchRunner(module), TorchRunner(torch.jit.freeze(trace(model, inputs)))):
        found = expected.judge(runner.arrays(runner(runner.prepare(inputs))), "exact-math")
        assert (found.failures, found.nonfinite, found.masked) == ((), 8, 8)
