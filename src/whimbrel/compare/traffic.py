"""How the mix of traffic changed: the share of each value of each dimension, against golden's own days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from whimbrel.compare.mix import Golden
from whimbrel.compare.result import Mix
from whimbrel.model.profile import NULL, OUTSIDE, Profile
from whimbrel.model.rows import Floats
from whimbrel.stats.many import benjamini_hochberg

WORTH_SAYING = 0.005
"""Change in a value's share of traffic below which it is not listed."""

ALLOWANCE = 0.01
"""Standard deviation of a share from day to day that is granted where golden has fewer than two days."""

FEWEST_ROWS = 100
"""Rows below which a golden day says nothing about its mix."""


def mixes(golden: Golden, window: Profile) -> tuple[Mix, ...]:
    """The values whose share changed by more than golden's days differ among themselves, greatest change first."""
    found = [pair for dimension in golden.binning.dimensions for pair in _candidates(golden, window, dimension)]
    sure = benjamini_hochberg(np.array([chance for chance, _ in found]))
    kept = [mix for (_, mix), keep in zip(found, sure, strict=True) if keep]
    return tuple(sorted(kept, key=lambda mix: -abs(mix.after - mix.before)))


def _candidates(golden: Golden, window: Profile, dimension: str) -> Iterator[tuple[float, Mix]]:
    """The changes of one dimension that are large enough to say, each with the chance of its like in golden."""
    column = golden.binning.index[dimension]
    bins = golden.binning.columns[column]
    start = int(golden.starts[column])
    here = slice(start, start + bins.size)
    before, after = golden.totals[here] / golden.profile.rows, window.totals()[1:][here] / window.rows
    spread = _spread(golden, here, window.rows)
    for bin_ in range(bins.size):
        was, is_ = float(before[bin_]), float(after[bin_])
        chance = 2 * NormalDist().cdf(-abs(is_ - was) / float(spread[bin_]))
        for value, share in _named(window, column, bin_, is_):
            if abs(share - was) < WORTH_SAYING:
                continue
            if was == 0:
                yield chance, Mix(dimension, value, was, share, "new")
            elif share == 0:
                yield chance, Mix(dimension, value, was, share, "gone")
            else:
                yield chance, Mix(dimension, value, was, share, "grew" if share > was else "shrank")


def _spread(golden: Golden, here: slice, rows: int) -> Floats:
    """How much each value's share varies from one golden day to the next, and by chance in this many rows."""
    days = golden.by_day[:, here]
    sizes = golden.profile.days.counts[:, 0]
    shares = golden.totals[here] / golden.profile.rows
    chance = np.maximum(shares * (1 - shares), 1 / rows) / rows
    full = sizes >= FEWEST_ROWS
    if int(full.sum()) < 2:
        return np.sqrt(chance + ALLOWANCE**2)
    spread: Floats = np.sqrt(chance + np.var(days[full] / sizes[full, None], axis=0, ddof=1))
    return spread


def _named(window: Profile, column: int, bin_: int, share: float) -> list[tuple[str | None, float]]:
    """The values in a bin and their shares; values that golden lacks take their names from picked rows."""
    bins = window.binning.columns[column]
    if bin_ == NULL:
        return [(None, share)]
    if bin_ > OUTSIDE:
        return [(bins.values[bin_ - OUTSIDE - 1], share)]
    known = set(bins.values)
    names = Counter(
        str(row[column]) for _, row in window.picks.rows if row[column] is not None and row[column] not in known
    )
    return [(name, share * n / names.total()) for name, n in names.most_common(5)]
