"""What golden would look like with the window's mix: its hours of the week, its countries, devices, hosts.

Golden's shares are weighted anew by hour of the week, by hour of the day and by each dimension's values. These overlap (a
country has its currency), so each field takes them one after the other, the one that explains most first, and stops
when none explains anything more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Expected:
    """What was expected of every bin for a target's mix, shape (bins,), and the mixes that each column took.

    `rows`, shape (columns,), is how many golden rows stand behind it: fewer, the more unevenly they are weighted.
    """

    shares: Floats
    rows: Floats
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
    rows = target_slots[:, 0]
    week = _week_factor(by_slot, rows)
    clock = _value_factor(CLOCK, golden.by_values[-1], rows.reshape(7, 24).sum(axis=0))
    mixes = [replace(week, by_bin=week.by_bin[golden.group_of]), clock]
    for table, name in zip(golden.by_values, golden.binning.dimensions, strict=False):
        column = golden.binning.index[name]
        values = target[starts[column] : starts[column] + golden.binning.columns[column].size]
        mixes.append(_value_factor(name, table, values))
    sizes = (max(float(by_slot[:, 0].sum()), 1.0), max(float(rows.sum()), 1.0))
    return _greedy(normalised(totals, starts), normalised(target, starts), mixes, starts, sizes)


@dataclass(frozen=True, slots=True)
class Factor:
    """One mix: by how much it makes each bin grow, shape (bins,), and how many golden rows stand behind that."""

    name: str
    by_bin: Floats
    rows: float


def _week_factor(by_slot: Floats, rows: Floats) -> Factor:
    """By how much each group (not bin) grows when golden's hours of the week are weighted as the target's."""
    overall, seen = by_slot.sum(axis=0), by_slot[:, 0]
    if not overall[0] > 0:
        return Factor(WEEK, np.ones(len(overall)), 1.0)
    by_hour = by_slot.reshape(7, 24, -1).sum(axis=0)
    even = overall / overall[0]
    by_hour = (by_hour + FEW * even) / (by_hour[:, :1] + FEW)
    shares = (by_slot + FEW * np.tile(by_hour, (7, 1))) / (by_slot[:, :1] + FEW)
    weights = rows / max(rows.sum(), 1.0)
    return Factor(WEEK, _growth(weights @ shares, even), _behind(weights, seen + FEW))


def _value_factor(name: str, table: Floats, target: Floats) -> Factor:
    """By how much each bin grows when a dimension's values are weighted as the target's, shape (values,)."""
    table = table[: len(target)]
    seen = table[:, 0]
    weights = np.where(seen >= FEW, target, 0.0)
    if not weights.sum() > 0:
        return Factor(name, np.ones(table.shape[1] - 1), max(float(seen.sum()), 1.0))
    weights = weights / weights.sum()
    shares = table[:, 1:] / np.maximum(table[:, :1], 1.0)
    return Factor(name, _growth(weights @ shares, table[:, 1:].sum(axis=0) / seen.sum()), _behind(weights, seen))


def _growth(after: Floats, before: Floats) -> Floats:
    return np.divide(after, before, out=np.ones_like(after), where=before > 0)


def _behind(weights: Floats, seen: Floats) -> float:
    """Rows of an even sample that say as much as strata so weighted. Source: Kish, "Survey sampling" (1965)."""
    held = weights > 0
    return max(float(1 / (weights[held] ** 2 / seen[held]).sum()), 1.0) if held.any() else 1.0


def _greedy(
    shares: Floats, target: Floats, mixes: Sequence[Factor], starts: Ints, sizes: tuple[float, float]
) -> Expected:
    """Each column takes the mix that brings it nearest to the target, then the next, while it gains by it."""
    factors = np.stack([mix.by_bin for mix in mixes])
    behind = np.full(len(starts), sizes[0])
    columns = np.arange(len(starts))
    widths = np.diff(starts, append=len(shares))
    left = np.ones((len(factors), len(starts)), np.bool_)
    taken: list[list[str]] = [[] for _ in starts]
    now = divergence(shares, target, starts)
    for _ in range(len(factors)):
        tried = normalised(shares * factors, starts)
        apart = np.where(left, divergence(tried, target, starts), np.inf)
        best = apart.argmin(axis=0)
        gains = now - apart[best, columns] > noise(*sizes)
        if not gains.any():
            break
        chosen = np.repeat(gains, widths)
        shares = np.where(chosen, tried[np.repeat(best, widths), np.arange(len(shares))], shares)
        now = np.where(gains, apart[best, columns], now)
        left[best[gains], columns[gains]] = False
        for column in columns[gains]:
            taken[column].append(mixes[best[column]].name)
            behind[column] = min(behind[column], mixes[best[column]].rows)
    return Expected(shares, behind, tuple(map(tuple, taken)))


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
