"""Bins learned on golden: equal-depth stretches with finer tails, single values that hold a good share, vocabularies.

In: values or value counts of one column of golden. Out: `Bins`, the bin of each value, quantiles read back from counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, nextafter

import numpy as np
from numpy.typing import NDArray

from whimbrel.model.profile import MOST_BINS, OUTSIDE, Bins
from whimbrel.model.rows import Floats, Ints

DEPTHS = (0.002, 0.01, *(i / 20 for i in range(1, 20)), 0.99, 0.998)
"""Shares of golden below each inner edge: twentieths, and finer in the tails, where a clip or a unit shows first."""

FEW_VALUES = 16
"""A numeric column with no more distinct values than this is counted value by value."""

ATOM = 0.02
"""A single number that holds this share of golden has a bin of its own."""

MARGIN = 0.5
"""A number is far outside when it lies beyond golden's range by more than this share of the range's width; where nothing
in golden is negative, also when it is less than this share of golden's least."""

MOST_ATOMS = 8
MOST_VALUES = MOST_BINS - OUTSIDE - 2
"""Texts that have a bin of their own."""

_FIRST_GROUP = 2
"""Group 0 is null, group 1 what golden leaves empty; the others part golden's mass about evenly."""


def number_bins(column: str, values: Floats, low: float, high: float) -> Bins:
    """Bins of a numeric column from a sample of golden, NaN where null, and golden's exact range.

    A range that holds nothing (`low > high`) gives a column without edges: golden had no finite value.
    """
    if low > high:
        return Bins(column, "number", groups=(0, 1, 1))
    sample = np.clip(values[np.isfinite(values)], low, high)
    distinct, counts = np.unique(sample, return_counts=True)
    edges = {float(low), nextafter(float(high), inf)}
    few = len(distinct) <= FEW_VALUES
    if few:
        atoms = distinct
    else:
        margin = MARGIN * (high - low)
        edges |= {max(low - margin, low * MARGIN) if low >= 0 else low - margin, high + margin}
        heaviest = np.argsort(-counts, kind="stable")[:MOST_ATOMS]
        atoms = distinct[heaviest[counts[heaviest] >= ATOM * len(sample)]]
        rest = sample[~np.isin(sample, atoms)]
        if len(rest):
            edges |= {float(q) for q in np.quantile(rest, DEPTHS, method="higher")}
    for atom in atoms:
        edges |= {float(atom), nextafter(float(atom), inf)}
    found = Bins(column, "number", edges=tuple(sorted(edge for edge in edges if -inf < edge < inf)), open=not few)
    codes = coded(sample, found)
    share = np.bincount(codes, minlength=found.size) / max(len(sample), 1)
    middle = np.cumsum(share) - share / 2
    groups = [_FIRST_GROUP + min(int(3 * m), 2) for m in middle]
    groups[: OUTSIDE + 1] = [0, 1, 1]
    groups[-1] = 1
    return replace(found, groups=tuple(groups))


def text_bins(column: str, counts: Mapping[str, int], *, more: bool = False) -> Bins:
    """Bins of a text column from golden's counts by value; `more` says that golden holds values beyond these."""
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    values = tuple(ordered[:MOST_VALUES])
    open_ = more or len(ordered) > len(values)
    groups = (0, 1, 5 if open_ else 1, *(_FIRST_GROUP + min(i, 2) for i in range(len(values))))
    return Bins(column, "text", values=values, open=open_, groups=groups)


def coded(values: Floats, bins: Bins) -> NDArray[np.uint8]:
    """The bin of each value of a numeric column, NULL for NaN; shape (n,).

    One comparison an edge over the whole array is four times as fast as a binary search a value.
    """
    codes = np.zeros(len(values), np.uint8)
    flags = np.empty(len(values), np.bool_)
    ones = flags.view(np.uint8)
    np.greater_equal(values, -inf, out=flags)
    np.multiply(ones, OUTSIDE, out=codes)
    for edge in bins.edges:
        np.greater_equal(values, edge, out=flags)
        np.add(codes, ones, out=codes)
    return codes


def quantiles(bins: Bins, counts: Ints | Floats, shares: Sequence[float]) -> Floats:
    """Quantiles of a numeric column read back from its counts, evenly spread inside a bin; NaN where there is nothing.

    Mass below or above golden's range counts as lying at its end: such a quantile is a bound.
    """
    if not bins.edges:
        return np.full(len(shares), np.nan)
    inner = np.asarray(counts, np.float64)[OUTSIDE:]
    if not inner.sum() > 0:
        return np.full(len(shares), np.nan)
    edges = np.array([bins.edges[0], *bins.edges, bins.edges[-1]])
    reached = np.concatenate([[0.0], np.cumsum(inner)]) / inner.sum()
    out = np.empty(len(shares))
    for i, share in enumerate(shares):
        place = min(int(np.searchsorted(reached, share, side="left")), len(inner))
        place = max(place, 1)
        width = reached[place] - reached[place - 1]
        within = (share - reached[place - 1]) / width if width > 0 else 0.0
        if bins.is_atom(OUTSIDE + place - 1):
            within = 0.0
        out[i] = edges[place - 1] + (edges[place] - edges[place - 1]) * within
    return out
