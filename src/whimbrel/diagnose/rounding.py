"""What counts as equal: numbers that differ by no more than rounding, or float noise, takes.

In: values. Out: how near is near. `forms` and `history` ask.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.shapes import multiples_of
from whimbrel.model.rows import Floats

_FINE = 0.01
"""The part of the middle spread that half a unit of the last decimal may be where a number is rounded."""


def tolerance(values: Floats) -> float:
    """What counts as equal: a thousandth of the middle spread, float noise on large values, and what rounding takes.

    A score of four decimals that is mostly near nought lies farther from the sum that it is than a thousandth of its spread; a time in
    seconds varies by far less than float noise on such numbers could be.
    """
    low, high = ends(values, 0.05)
    least = noise(values)
    return half(values, high - low if high > low else float(np.ptp(values)), above=least) or least


def noise(values: Floats) -> float:
    """The same where nothing is rounded, or what is follows from the same whole numbers: ages that are a year apart are not equal."""
    low, high = ends(values, 0.05)
    spread = high - low if high > low else float(np.ptp(values))
    large = 1e-6 * float(np.max(np.abs(values)) or 1.0)
    return max(1e-3 * spread, min(large, 5e-3 * spread) if spread > 0 else large)


def half(values: Floats, spread: float | None = None, *, above: float = 0.0) -> float:
    """Half of the mark that all values were rounded to, where it is fine beside their spread and more than `above`; else 0."""
    if spread is None:
        low, high = ends(values, 0.05)
        spread = high - low
    halves = (0.5 * 10.0**-decimals for decimals in range(7))
    halves = (one for one in halves if _FINE * spread >= one > above)
    return next((one for one in halves if multiples_of(2 * one, values).all()), 0.0)


def ends(values: Floats, share: float) -> tuple[float, float]:
    """The quantiles at `share` and 1 - `share`; what `np.quantile` checks first takes longer than the thousand values it is asked of."""
    last = values.size - 1
    k = int(share * last)
    rest, places = share * last - k, (k, min(k + 1, last), max(last - k - 1, 0), last - k)
    a, b, c, d = np.partition(values, places)[list(places)].tolist()
    return a + (b - a) * rest, d - (d - c) * rest
