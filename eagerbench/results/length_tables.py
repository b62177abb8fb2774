"""Table of the length experiment: what a token costs, fitted over the lengths."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from eagerbench.results.grid import Grid

Record = dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """Seconds of a call = `fixed_s` + `linear_s` · length + `square_s` · length², none of them negative."""

    fixed_s: float
    linear_s: float
    square_s: float

    def marginal_s(self, length: float) -> float:
        """Seconds of one more token in every row."""
        return self.linear_s + 2 * self.square_s * length


def fit(lengths: list[int], seconds: list[float]) -> Fit | None:
    """Least squares of relative errors, coefficients ≥ 0; without the square below four lengths, None below two."""
    if len(set(lengths)) < 2:
        return None
    terms = 3 if len(set(lengths)) > 3 else 2
    times = np.asarray(seconds)
    design = np.vander(np.asarray(lengths, float), terms, increasing=True) / times[:, None]
    scale = np.linalg.norm(design, axis=0)  # columns of one size, for the solver
    coefficients = nnls(design / scale, np.ones(len(times)))[0] / scale
    return Fit(*coefficients, *[0.0] * (3 - terms))


def cost_per_token(batch_size: int, seconds: dict[int, float]) -> float | None:
    """Seconds of one more token at the shortest length, of the fit to `seconds` of calls by length; None below two."""
    found = fit(list(seconds), list(seconds.values()))
    return None if found is None else found.marginal_s(min(seconds)) / batch_size


def tables(model: str, records: list[Record]) -> list[Grid]:
    lengths = sorted({record["sequence_length"] for record in records})
    groups: dict[tuple[str, int], dict[int, Record]] = {}
    for record in records:
        groups.setdefault((record["variant"], record["batch_size"]), {})[record["sequence_length"]] = record
    rows = [[variant, str(batch), *_fitted(batch, by_length),
             *(f"{1e3 * by_length[length]['call_s']:.2f}" if length in by_length else "–" for length in lengths)]
            for (variant, batch), by_length in groups.items()]
    header = ["variant", "batch", "cost per token, µs", "growth", "fixed, ms", *(f"{length}, ms" for length in lengths)]
    note = ("Call = fixed + cost × tokens + the square of the length, fitted to the medians on full rows. Cost per "
            "token: of one more token at the shortest length. Growth: the same at the longest length over it; – below "
            "four lengths.")
    return [Grid(f"{model}: latency against length", header, rows, note)]


def _fitted(batch: int, by_length: dict[int, Record]) -> list[str]:
    seconds = {length: record["call_s"] for length, record in by_length.items()}
    found = fit(list(seconds), list(seconds.values()))
    if found is None:
        return ["–"] * 3
    shortest, longest = found.marginal_s(min(by_length)), found.marginal_s(max(by_length))
    growth = f"{longest / shortest:.2f}" if len(by_length) > 3 and shortest else "–"
    return [f"{1e6 * cost_per_token(batch, seconds):.1f}", growth, f"{1e3 * found.fixed_s:.2f}"]
