"""Bins that are learned on golden, and what can be read back from counts on them."""

from __future__ import annotations

from math import inf, nan, nextafter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.model.profile import MOST_BINS, NULL, OUTSIDE, RESCUED, Bins
from whimbrel.stats.bins import coded, number_bins, quantiles, text_bins

draw = np.random.default_rng(0)


def test_the_bin_of_a_number_is_the_stretch_that_holds_it() -> None:
    bins = Bins("x", "number", edges=(0.0, 1.0, 2.0))
    values = np.array([nan, -inf, -0.1, 0.0, 0.9, 1.0, 2.0, inf])
    assert coded(values, bins).tolist() == [NULL, OUTSIDE, OUTSIDE, 3, 3, 4, 5, 5]
    assert bins.size == 6


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=60))
def test_every_number_has_a_bin_and_golden_is_never_far_outside(values: list[float]) -> None:
    sample = np.array(values, np.float64)
    finite = sample[np.isfinite(sample)]
    low, high = (finite.min(), finite.max()) if len(finite) else (1.0, 0.0)
    bins = number_bins("x", sample, float(low), float(high))
    codes = coded(sample, bins)
    assert bins.size <= MOST_BINS
    assert len(bins.groups) == bins.size
    assert list(bins.edges) == sorted(set(bins.edges))
    assert (codes < bins.size).all()
    assert ((codes == NULL) == np.isnan(sample)).all()
    inside = codes[np.isfinite(sample)]
    assert ((inside > OUTSIDE) & (inside < bins.size - 1)).all()


def test_stretches_hold_about_equal_mass_and_tails_are_finer() -> None:
    values = draw.lognormal(0, 1, 50_000)
    bins = number_bins("x", values, values.min(), values.max())
    counts = np.bincount(coded(values, bins), minlength=bins.size)
    inner = counts[counts > 0] / len(values)
    assert inner.max() < 0.06
    assert counts[RESCUED] == counts[NULL] == 0
    assert inner[0] < 0.005
    assert inner[-1] < 0.005


def test_a_value_that_holds_a_good_share_has_its_own_bin() -> None:
    values = np.where(draw.random(20_000) < 0.3, 0.0, draw.normal(5, 2, 20_000))
    bins = number_bins("x", values, values.min(), values.max())
    counts = np.bincount(coded(values, bins), minlength=bins.size)
    atoms = [b for b in range(bins.size) if bins.is_atom(b)]
    assert [bins.label(b) for b in atoms] == ["0"]
    assert counts[atoms[0]] == (values == 0).sum()


def test_few_values_are_counted_one_by_one_and_a_gap_between_them_is_structural() -> None:
    values = draw.choice([1.0, 2.0, 5.0], 1000)
    bins = number_bins("x", values, 1.0, 5.0)
    code = coded(np.array([1.0, 1.5, 2.0, 5.0, 6.0]), bins)
    assert [bins.label(int(c)) for c in code] == ["1", f"{nextafter(1.0, 2):.6g} – 2", "2", "5", "> 5"]
    assert {int(code[1]), int(code[4]), RESCUED, OUTSIDE} <= set(bins.structural)
    assert not bins.open


def test_just_beyond_goldens_range_is_not_far_outside() -> None:
    values = draw.uniform(10, 20, 5000)
    bins = number_bins("x", values, 10.0, 20.0)
    code = coded(np.array([9.0, 21.0, 4.0, 26.0, -1.0]), bins)
    far = set(bins.structural)
    assert [int(c) in far for c in code] == [False, False, True, True, True]


def test_a_column_without_a_number_counts_any_number_as_new() -> None:
    bins = number_bins("x", np.full(10, nan), 1.0, 0.0)
    assert coded(np.array([nan, 3.0]), bins).tolist() == [NULL, OUTSIDE]
    assert bins.label(OUTSIDE) == "any"


def test_texts_are_ordered_by_frequency_and_end_in_other() -> None:
    bins = text_bins("x", {"b": 5, "a": 5, "c": 9})
    assert bins.values == ("c", "a", "b")
    assert [bins.label(b) for b in range(bins.size)] == ["null", "wrong type", "other", "c", "a", "b"]
    assert OUTSIDE in bins.structural
    many = text_bins("x", {f"v{i}": 1 for i in range(500)})
    assert many.open
    assert many.size <= MOST_BINS


def test_quantiles_come_back_from_counts() -> None:
    values = draw.normal(100, 15, 40_000)
    bins = number_bins("x", values, values.min(), values.max())
    counts = np.bincount(coded(values, bins), minlength=bins.size)
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    assert quantiles(bins, counts, shares) == pytest.approx(np.quantile(values, shares), abs=0.4)


def test_quantiles_of_nothing_are_unknown_and_of_an_atom_exact() -> None:
    bins = number_bins("x", np.array([7.0] * 10), 7.0, 7.0)
    assert np.isnan(quantiles(bins, np.zeros(bins.size), (0.5,))).all()
    assert np.isnan(quantiles(Bins("x", "number"), np.array([0, 0, 4]), (0.5,))).all()
    counts = np.bincount(coded(np.array([7.0] * 10), bins), minlength=bins.size)
    assert quantiles(bins, counts, (0.1, 0.9)).tolist() == [7.0, 7.0]
