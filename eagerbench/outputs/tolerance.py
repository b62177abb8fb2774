"""The tolerance classes, which detect broken builds: their numbers and their reasons. They do not say that a variant is
as good as eager: the quality experiment measures that.

Outputs are compared on real positions only. Where eager's own value is not finite or a mask value (`outputs.places`),
the variant's must be the same: NaN for NaN, −∞ for −∞. In `exact-math` numbers beyond float32 count as ±∞, in the other
classes, whose variants may compute in float16, numbers beyond float16 (±65,504) too. Float64 may be finite where
float32 overflows. Over all other values every class has two rules, and both must hold:

1. against the reference (eager, float32): `numpy.testing.assert_allclose`, or cosine, largest error and agreement;
2. against float64: RMSE(variant − f64) ≤ k · RMSE(eager − f64) + floor · RMS(f64), after `same` in PyTorch's
   `torch/_dynamo/utils.py`. For float32 eager's own error is the yardstick; narrower dtypes are so much coarser
   that the floor alone decides.

One score that lies near zero is no measure of itself: the RMS of fewer than FEW values, and of eager's error in them,
is taken over other rows of the same model too (`Scale`). Their cosine, which for one value is its sign, is left to
rule 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eagerbench.outputs.places import real, set_apart, token_mask, wrong_apart
from eagerbench.outputs.predictions import Arrays, agreement


@dataclass(frozen=True)
class ToleranceClass:
    """Bounds. `rtol` and `atol` are numpy's, `atol` in units of the output's RMS; None switches a rule off.

    Attributes:
        rmse_factor, rmse_floor: k and floor of rule 2; the floor in units of the output's RMS.
        cosine: least cosine similarity of a whole output.
        largest: largest error in units of the output's RMS.
        agreement: least share of equal predictions (trained models, at least AGREEMENT_ROWS rows).
        mask_rtol: largest relative difference of a finite mask value.
        overflow: largest number of the narrowest dtype that a variant may compute in: beyond it all is ±∞.
    """

    rmse_factor: float
    rmse_floor: float
    rtol: float | None = None
    atol: float | None = None
    cosine: float | None = None
    largest: float | None = None
    agreement: float | None = None
    mask_rtol: float = 0.25
    overflow: float = float(np.finfo(np.float16).max)


CLASSES = {
    # float32 with sums in another order: measured 5e-6 of the RMS on MiniLM, eager's own error being 1e-6.
    "exact-math": ToleranceClass(rmse_factor=10, rmse_floor=1e-6, rtol=1e-4, atol=1e-4, mask_rtol=1e-4,
                                 overflow=float(np.finfo(np.float32).max)),
    # float16 and TF32, 11 bits of mantissa: an eighth of bfloat16; measured 1.5e-3 of the RMS on MiniLM.
    "half-precision": ToleranceClass(rmse_factor=0, rmse_floor=6e-3, rtol=6e-3, atol=0.05, agreement=0.9,
                                     mask_rtol=6e-3),
    # 8 bits of mantissa: 2⁻⁹ a rounding; measured 1.1e-2 of the RMS after 6 layers, single elements ten times that.
    "reduced-precision": ToleranceClass(rmse_factor=0, rmse_floor=4e-2, rtol=5e-2, atol=0.4, agreement=0.9,
                                        mask_rtol=5e-2),
    # 8-bit weights and activations: measured 0.15 of the RMS on MiniLM (one scale a column; 0.29 with one a tensor).
    "quantised": ToleranceClass(rmse_factor=0, rmse_floor=0.22, cosine=0.975, largest=4.0, agreement=0.7),
    # 4-bit weights, or activations on 7 bits with one scale a tensor: measured 0.22 (nf4), 0.31 (7 bits) and 0.38 (fp4)
    # of the RMS on MiniLM, single elements of 8 × 128 tokens 4.4 (7 bits). One layer without its mask is 0.24: a defect
    # shows here only when it is in every layer.
    "quantised-coarse": ToleranceClass(rmse_factor=0, rmse_floor=0.45, cosine=0.91, largest=8.0, agreement=0.55),
}


FEW = 16  # the RMS of as many values is within a fifth of the true one; one value may be anything


@dataclass(frozen=True)
class Scale:
    """What one output is of, over other rows of the same kind, in the output's unit.

    Attributes:
        rms: of eager's float64 values.
        error: RMS of eager's float32 error.
        values: how many there are.
    """

    rms: float = 0.0
    error: float = 0.0
    values: int = 0


@dataclass(frozen=True)
class Comparison:
    """What a comparison found. `failures` is empty when the outputs match; each entry is one line.

    Attributes:
        max_abs_error: largest difference to eager, in the output's unit, set-apart values left out.
        rmse_ratio: RMSE(variant − f64) / RMSE(eager − f64), the largest over outputs.
        cosine: least cosine similarity to eager over outputs.
        agreement: share of eager's predictions (`predictions.agreement`); None where that is undefined.
        nonfinite: values that are not finite in eager either, and equal.
        masked: finite mask values of eager's, and equal.
        judged: values that the rules of the class were applied to: all others.
    """

    max_abs_error: float
    rmse_ratio: float
    cosine: float
    agreement: float | None
    failures: tuple[str, ...]
    nonfinite: int = 0
    masked: int = 0
    judged: int = 0


@dataclass(frozen=True)
class _Output:
    """One output's values on real positions, in float64; `exact` is None without a float64 reference."""

    got: np.ndarray
    eager: np.ndarray
    exact: np.ndarray | None
    apart: np.ndarray
    scale: Scale


def compare(actual: Arrays, reference: Arrays, double: Arrays | None, mask: np.ndarray | None, class_name: str,
            pretrained: bool, problem_type: str | None = None, scales: Mapping[str, Scale] | None = None) -> Comparison:
    """Judge `actual` by a tolerance class.

    Args:
        actual, reference, double: named outputs of the variant, of eager float32 and of eager float64; without
            the last, rule 2 is left out (for comparing a variant with itself). What the reference does not have is
            ignored in the others.
        mask: attention mask (batch, length), or None when every position is real.
        class_name: key of CLASSES.
        pretrained: whether the weights are trained; agreement is demanded of trained models only.
        problem_type: the config's, which says how predictions are read from logits.
        scales: of outputs with few values, by name (`scale_of`); an output without one is its own scale.
    """
    if not reference or not set(reference) <= set(actual):
        missing = f"outputs {sorted(actual)} instead of {sorted(reference)}"
        return Comparison(float("inf"), float("inf"), 0.0, None, (missing,))
    tolerance, found, failures = CLASSES[class_name], [], []
    for name in reference:
        if actual[name].shape != reference[name].shape:
            failures.append(f"{name}: shape {actual[name].shape} instead of {reference[name].shape}")
            continue
        output = _output(name, actual, reference, double, mask, scales)
        lines, numbers = _judge(output, tolerance)
        failures += [f"{name}: {line}" for line in lines]
        found.append(numbers)
    share = agreement(actual, reference, mask, problem_type) if not failures else None
    if pretrained and share is not None and share < (tolerance.agreement or 0):
        failures.append(f"predictions agree in {share:.0%} of rows, {tolerance.agreement:.0%} are needed")
    return Comparison(_worst([one.max_abs_error for one in found]), _worst([one.rmse_ratio for one in found]),
                      min((one.cosine for one in found), default=0.0), share, tuple(failures),
                      sum(one.nonfinite for one in found), sum(one.masked for one in found),
                      sum(one.judged for one in found))


def relative_distance(actual: Arrays, reference: Arrays, mask: np.ndarray | None) -> float:
    """L2 norm of the difference over that of the reference, on real positions, the largest over outputs.

    Values that are set apart in either are left out. 0 for equal outputs, infinite when only the reference is zero.
    """
    distances = []
    for name in reference:
        output = _output(name, actual, reference, None, mask)
        chosen = ~(output.apart | set_apart(output.got))
        got, eager = output.got[chosen], output.eager[chosen]
        difference, size = np.linalg.norm(got - eager), np.linalg.norm(eager)
        distances.append(float(difference / size) if size else float("inf") if difference else 0.0)
    return _worst(distances)


def few_values(outputs: Arrays, mask: np.ndarray | None) -> list[str]:
    """Names of the outputs with fewer than FEW values on real positions."""
    return [name for name, array in outputs.items() if real(array, token_mask(name, array, mask)).size < FEW]


def scale_of(eager: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> Scale:
    """Of one output for several inputs without padding: eager's values in float32 and float64."""
    single, double = (np.concatenate([array.ravel() for array in arrays]).astype(np.float64)
                      for arrays in (eager, exact))
    chosen = ~set_apart(single) & np.isfinite(double)
    return Scale(_rms(double[chosen]), _rms(single[chosen] - double[chosen]), int(chosen.sum()))


def _output(name: str, actual: Arrays, reference: Arrays, double: Arrays | None, mask: np.ndarray | None,
            scales: Mapping[str, Scale] | None = None) -> _Output:
    of_output = token_mask(name, reference[name], mask)
    got, eager, exact = (None if arrays is None else real(arrays[name], of_output).astype(np.float64)
                         for arrays in (actual, reference, double))
    return _Output(got, eager, exact, set_apart(eager), (scales or {}).get(name, Scale()))


def _worst(values: list[float]) -> float:
    return float("inf") if not values or np.isnan(values).any() else max(values)


def _judge(output: _Output, tolerance: ToleranceClass) -> tuple[list[str], Comparison]:
    """Broken rules, and the numbers of one output."""
    wrong = output.apart & wrong_apart(output.got, output.eager, tolerance.mask_rtol, tolerance.overflow)
    lost = ~output.apart & ~np.isfinite(output.got)
    chosen = ~output.apart & ~lost
    broken = []
    if lost.any():
        broken.append(f"{lost.sum()} values are not finite, first {_first(output, lost)}")
    if wrong.any():
        broken.append(f"{wrong.sum()} of {output.apart.sum()} values where eager has −∞, ∞, NaN or a mask value are "
                      f"different, first {_first(output, wrong)}")
    got, eager = output.got[chosen], output.eager[chosen]
    exact = None if output.exact is None else output.exact[chosen]
    if not broken:
        broken = _broken_rules(got, eager, exact, tolerance, np.argwhere(chosen), output.scale)
    nonfinite = int((~np.isfinite(output.eager)).sum())
    numbers = Comparison(float(np.abs(got - eager).max(initial=0)),
                         1.0 if exact is None else _rmse_ratio(got, eager, exact), _cosine(got, eager), None, (),
                         nonfinite, int(output.apart.sum()) - nonfinite, got.size)
    return broken, numbers


def _first(output: _Output, places: np.ndarray) -> str:
    place = tuple(int(index) for index in np.argwhere(places)[0])
    return f"{output.got[place]:g} at {place} where eager has {output.eager[place]:g}"


def _broken_rules(got: np.ndarray, want: np.ndarray, exact: np.ndarray | None, tolerance: ToleranceClass,
                  places: np.ndarray, others: Scale) -> list[str]:
    """Of values that are not set apart, (values,); `places` are their indices in the output, (values, axes)."""
    broken = []
    scale = _rms_with(want, others.rms, others.values)
    error = np.abs(got - want)
    place = tuple(int(i) for i in places[error.argmax()]) if error.size else ()
    at = f"largest error {error.max(initial=0):.3g} at {place}"
    if tolerance.rtol is not None:
        try:
            np.testing.assert_allclose(got, want, rtol=tolerance.rtol, atol=tolerance.atol * scale)
        except AssertionError:
            broken.append(f"{at}, tolerance {tolerance.atol * scale:.3g} + {tolerance.rtol:g}·|eager|")
    if tolerance.largest is not None and error.max(initial=0) > tolerance.largest * scale:
        broken.append(f"{at}, tolerance {tolerance.largest * scale:.3g}")
    only_signs = others.values > 0 and exact is not None
    if tolerance.cosine is not None and not only_signs and _cosine(got, want) < tolerance.cosine:
        broken.append(f"cosine {_cosine(got, want):.4f}, at least {tolerance.cosine} is needed; {at}")
    if exact is None:
        return broken
    got, want, exact = _where_finite(got, want, exact)
    bound = (tolerance.rmse_factor * _rms_with(want - exact, others.error, others.values)
             + tolerance.rmse_floor * _rms_with(exact, others.rms, others.values))
    if _rms(got - exact) > bound:
        broken.append(f"RMSE to float64 {_rms(got - exact):.3g}, bound {bound:.3g}; {at}")
    return broken


def _where_finite(got: np.ndarray, want: np.ndarray, exact: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Without the values for which float64 says nothing."""
    known = np.isfinite(exact)
    return got[known], want[known], exact[known]


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0


def _rms_with(array: np.ndarray, others: float, count: int) -> float:
    """RMS of an array's values and of `count` others, whose own RMS is `others`."""
    total = array.size + count
    return float(np.sqrt((array.size * _rms(array) ** 2 + count * others ** 2) / total)) if total else 0.0


def _rmse_ratio(got: np.ndarray, want: np.ndarray, exact: np.ndarray) -> float:
    got, want, exact = _where_finite(got, want, exact)
    own = _rms(want - exact)
    theirs = _rms(got - exact)
    return theirs / own if own else (1.0 if theirs == 0 else float("inf"))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    product = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.vdot(a, b)) / product if product else float(np.array_equal(a, b))
