"""Numbers as people read them: three digits and a unit."""

import math

_MIB = 2**20
# Samples that a percentile needs (MLPerf's early stopping, at 99 % confidence: loadgen/early_stopping.cc).
PERCENTILES = {90: 64, 95: 130, 99: 662}
P99_MS = 50.0  # latency that 99 of 100 queries hold, unless another one is asked for


def three(value: float) -> str:
    """Three digits: `0.52`, `21.0`, `1,140`."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def milliseconds(seconds: float) -> str:
    """Three digits: `0.52 ms`, `21.0 ms`, `1,140 ms`."""
    return f"{three(1e3 * seconds)} ms"


def times(value: float) -> str:
    return f"{value:.2f}×" if value < 10 else f"{value:.1f}×"


def bounds(low: float | None, high: float | None) -> str:
    """` [5.05, 9.54]` or ` [9.85, 24.0]`; nothing without bounds."""
    return "" if low is None or high is None else f" [{_bound(low)}, {_bound(high)}]"


def _bound(value: float) -> str:
    return "<0.01" if value < 0.01 else ">99" if value > 99 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def percent(error: float | None) -> str:
    """A relative error: `0.0004%`, `2.3%`, `22%`."""
    if error is None:
        return "–"
    value = 100 * error
    if value >= 10:
        return f"{value:.0f}%"
    if value < 1e-4:
        return "<0.0001%"
    return f"{value:.{-math.floor(math.log10(value))}f}%" if value < 1 else f"{value:.1f}%"


def mib(count: float | None) -> str:
    if not count:
        return "–"
    return f"{count / _MIB:,.0f} MiB" if count >= _MIB else f"{count / 2**10:,.0f} KiB"


def digits(value: float) -> str:
    """Three significant digits, never an exponent: `0.000123`, `0.523`, `21.0`, `1,140`."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    places = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    places = 2 - math.floor(math.log10(abs(rounded)))  # 0.9996 becomes 1.00
    return f"{rounded:,.{min(max(places, 0), 12)}f}"
