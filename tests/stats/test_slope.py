"""The slope of a line: known where it is known, sure in proportion to the points."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.stats.slope import slope


def test_a_line_is_found_exactly() -> None:
    x = np.arange(40.0)
    assert slope(x, 3.0 * x - 7.0) == pytest.approx((3.0, 0.0), abs=1e-12)


def test_its_error_covers_the_truth_where_the_spread_grows_with_x() -> None:
    """Of 400 samples some 95 in a hundred hold the true slope within 1.96 errors; equal spreads would be assumed wrongly here."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        x = rng.uniform(0, 1, 300)
        told = slope(x, 2.0 * x + x * x * rng.normal(size=300))
        assert told is not None
        hits += abs(told[0] - 2.0) <= 1.96 * told[1]
    assert 0.91 <= hits / 400 <= 0.98


def test_nothing_is_said_of_few_or_equal_points() -> None:
    assert slope(np.arange(29.0), np.arange(29.0)) is None
    assert slope(np.ones(50), np.arange(50.0)) is None
