"""What golden would look like with the window's mix: its hours of the week, its countries, devices, hosts.

Golden's shares are weighted anew by hour of the week, by hour of the day and by each dimension's values. These overlap (a
country has its currency), so each field takes them one after the other, the one that explains most first, and stops
when none explains anything more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from whimbrel.model.profile import MOST_BINS, OUTSIDE, Binning, Cells, Profile
from whimbrel.model.rows import Floats, Ints
from whimbrel.stats.distance import divergence, noise, normalised

SLOTS = 168
"""Hours of the week."""

FEW = 50
"""Golden rows below which an hour of the week leans on the hour of the day, and a dimension value says nothing."""

WEEK, CLOCK = "hour of the week", "hour of the day"


@dataclass(frozen=True)
class Expected:
    """What was expected of every bin for a target's mix, shape (bins,), and the mixes that each column took."""

    shares: Floats
    explained_by: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Golden:
    """Golden's tables, prepared once. Rows are column 0 of the profile's tables and left out here."""

    profile: Profile

    @cached_property
    def binning(self) -> Binning:
        """How golden was counted."""
        return self.profile.binning

    @cached_property
    def starts(self) -> Ints:
        """Where each column's bins begin, shape (columns,)."""
        return np.array(self.binning.starts[:-1], np.int64) - 1

    @cached_property
    def totals(self) -> Floats:
        """All counts, shape (bins,)."""
        return self.profile.totals()[1:].astype(np.float64)

    @cached_property
    def by_day(self) -> Floats:
        """Counts by day, shape (days, bins)."""
        return self.profile.days.counts[:, 1:].astype(np.float64)

    @cached_property
    def by_slot(self) -> Floats:
        """Rows and groups by hour of the week, shape (168, 1 + groups)."""
        return slots(self.profile.hours)

    @cached_property
    def group_of(self) -> Ints:
        """The group of each bin, as a place in `by_slot`, shape (bins,)."""
        return np.concatenate(
            [
                np.array(b.groups, np.int64) + s
                for b, s in zip(self.binning.columns, self.binning.group_starts, strict=False)
            ]
        )

    def by_value(self, dimension: int) -> Floats:
        """Rows and bins by value of a dimension, shape (most bins, 1 + bins)."""
        found = np.zeros((MOST_BINS, self.binning.starts[-1]))
        keys = self.profile.slices.keys
        mine = keys // MOST_BINS == dimension
        found[keys[mine] % MOST_BINS] = self.profile.slices.counts[mine]
        return found

    @cached_property
    def by_values(self) -> tuple[Floats, ...]:
        """`by_value` of each dimension, the hour of the day last."""
        return tuple(self.by_value(d) for d in range(len(self.binning.dimensions) + 1))


def slots(hours: Cells) -> Floats:
    """Rows and groups of an hourly table by hour of the week, shape (168, width)."""
    found = np.zeros((SLOTS, hours.counts.shape[1]))
    np.add.at(found, hours.keys % SLOTS, hours.counts)
    return found


def expected(golden: Golden, target: Floats, target_slots: Floats, *, without: int | None = None) -> Expected:
    """Golden's shares, reweighted to a target's mix.

    Args:
        golden: what is reweighted.
        target: the target's counts, shape (bins,).
        target_slots: its rows and groups by hour of the week, shape (168, 1 + groups).
        without: the golden day that the target is, to be left out of golden.
    """
    totals, by_slot = golden.totals, golden.by_slot
    if without is not None:
        totals = totals - golden.by_day[without]
        by_slot = by_slot - target_slots
    starts = golden.starts
    shares = normalised(totals, starts)
    clock = target_slots[:, 0].reshape(7, 24).sum(axis=0)
    factors = [_week_factor(by_slot, target_slots[:, 0])[golden.group_of], _value_factor(golden.by_values[-1], clock)]
    for table, name in zip(golden.by_values, golden.binning.dimensions, strict=False):
        column = golden.binning.index[name]
        factors.append(
            _value_factor(table, target[starts[column] : starts[column] + golden.binning.columns[column].size])
        )
    names = (WEEK, CLOCK, *golden.binning.dimensions)
    rows = max(target_slots[:, 0].sum(), 1.0)
    gain = noise(max(golden.profile.rows, 1), rows)
    return _greedy(shares, normalised(target, starts), np.stack(factors), names, starts, gain)


def _week_factor(by_slot: Floats, rows: Floats) -> Floats:
    """By how much each group grows when golden's hours of the week are weighted as the target's, (1 + groups,)."""
    overall = by_slot.sum(axis=0)
    if not overall[0] > 0:
        return np.ones(len(overall))
    by_hour = by_slot.reshape(7, 24, -1).sum(axis=0)
    even = overall / overall[0]
    by_hour = (by_hour + FEW * even) / (by_hour[:, :1] + FEW)
    by_slot = (by_slot + FEW * np.tile(by_hour, (7, 1))) / (by_slot[:, :1] + FEW)
    return _factor(rows / max(rows.sum(), 1.0) @ by_slot, even)


def _value_factor(table: Floats, target: Floats) -> Floats:
    """By how much each bin grows when a dimension's values are weighted as the target's; shape (bins,)."""
    table = table[: len(target)]
    weights = np.where(table[:, 0] >= FEW, target, 0.0)
    if not weights.sum() > 0:
        return np.ones(table.shape[1] - 1)
    shares = table[:, 1:] / np.maximum(table[:, :1], 1.0)
    return _factor(weights / weights.sum() @ shares, table[:, 1:].sum(axis=0) / max(table[:, 0].sum(), 1.0))


def _factor(after: Floats, before: Floats) -> Floats:
    return np.divide(after, before, out=np.ones_like(after), where=before > 0)


def _greedy(
    shares: Floats, target: Floats, factors: Floats, names: Sequence[str], starts: Ints, gain: float
) -> Expected:
    """Each column takes the factor that brings it nearest to the target, then the next, while it gains by it."""
    columns = np.arange(len(starts))
    widths = np.diff(starts, append=len(shares))
    left = np.ones((len(factors), len(starts)), np.bool_)
    taken: list[list[str]] = [[] for _ in starts]
    now = divergence(shares, target, starts)
    for _ in range(len(factors)):
        tried = normalised(shares * factors, starts)
        apart = np.where(left, divergence(tried, target, starts), np.inf)
        best = apart.argmin(axis=0)
        gains = now - apart[best, columns] > gain
        if not gains.any():
            break
        chosen = np.repeat(gains, widths)
        shares = np.where(chosen, tried[np.repeat(best, widths), np.arange(len(shares))], shares)
        now = np.where(gains, apart[best, columns], now)
        left[best[gains], columns[gains]] = False
        for column in columns[gains]:
            taken[column].append(names[best[column]])
    return Expected(shares, tuple(map(tuple, taken)))


def known_traffic(golden: Golden, window: Profile) -> tuple[Floats, str]:
    """The window's counts, without traffic that golden cannot speak for: values of a dimension that are new.

    Where several dimensions have new values, those of the one with most are taken out. Shape (bins,), and that
    dimension's name, empty where nothing was taken out; nothing is where little would be left.
    """
    totals = window.totals().astype(np.float64)
    best, share, name = totals, 0.0, ""
    for d, dimension in enumerate(golden.binning.dimensions):
        new = window.slices.at(MOST_BINS * d + OUTSIDE, golden.binning.starts[-1]).astype(np.float64)
        if share < new[0] <= totals[0] / 2:
            best, share, name = totals - new, float(new[0]), dimension
    return best[1:], name
