"""Counts of rows by hour, by day, by hour of the day and by dimension value, batch by batch; memory stays flat.

In: times and bins of batches of rows. Out: tables of counts. Pure. Only `counted.py` may call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.model.profile import MOST_BINS, Binning, Cells, without_repeats
from whimbrel.model.rows import Ints

Codes: TypeAlias = NDArray[np.uint8]

HOUR_US = 3_600_000_000
JOINT = 256
"""Dimensions are counted together up to this many combinations of their bins: one count instead of several."""

MOST_HOURS = 4_096
"""Hours that a batch's rows may span before the empty ones among them cost more than looking for the others."""

MOST_PAIRS = 512
"""Hours and values of dimensions are counted together up to this many pairs of them: the counts then stay in the processor's cache."""

_BITS = (MOST_BINS - 1).bit_length()


class Tally:
    """What was counted of the batches so far. It holds no rows."""

    def __init__(self, binning: Binning) -> None:
        self._binning = binning
        sizes = [binning.columns[binning.index[name]].size for name in binning.dimensions]
        self._slices = [np.zeros((size, binning.starts[-1]), np.int64) for size in sizes]
        self._hours: list[Cells] = []
        self._most = MOST_HOURS

    def add(self, ts: Ints, codes: Sequence[Codes]) -> None:
        """Count a batch: the times of its rows (µs since 1970, at least one), and each column's bins."""
        hours, groups = _hours(ts), _groups(codes, self._binning)
        by_hour, by_group = _counts(hours, groups[0] if groups else None, codes)
        seen = np.bincount(hours.of, minlength=hours.size)
        present = seen > 0
        counts = self._side_by_side(seen, by_hour)
        self._hours.append(Cells(hours.names[present], counts[present]))
        if sum(len(cells.keys) for cells in self._hours) > self._most:
            self._hours = [_joined(self._hours)]
            self._most = 2 * len(self._hours[0].keys) + MOST_HOURS
        for keys in groups:
            tables = by_group if keys is groups[0] else _tables(keys, codes)
            counts = self._side_by_side(np.bincount(keys.of, minlength=keys.size), tables)
            cube = counts.reshape(*keys.shape, -1)
            for axis, d in enumerate(keys.names.tolist()):
                self._slices[d] += cube.sum(axis=tuple(a for a in range(len(keys.shape)) if a != axis))

    def cells(self) -> tuple[Cells, Cells, Cells]:
        """All bins by day, groups of bins by hour, and all bins by dimension value, the hour of the day among the dimensions."""
        hours = _joined(self._hours)
        names, counts, columns = hours.keys, hours.counts, self._binning.columns
        grouped = np.zeros((len(names), self._binning.group_starts[-1]), np.int64)
        grouped[:, 0] = counts[:, 0]
        for bins, start, first in zip(columns, self._binning.starts, self._binning.group_starts, strict=False):
            for bin_, group in enumerate(bins.groups):
                grouped[:, first + group] += counts[:, start + bin_]
        slices = [
            Cells(MOST_BINS * d + np.flatnonzero(table[:, 0]), table[table[:, 0] > 0])
            for d, table in enumerate(self._slices)
        ]
        clock = _joined([Cells(MOST_BINS * len(slices) + names % 24, counts)])
        parts = [*slices, clock]
        by_slice = Cells(np.concatenate([p.keys for p in parts]), np.concatenate([p.counts for p in parts]))
        return _joined([Cells(names // 24, counts)]), Cells(names, grouped), by_slice

    def _side_by_side(self, rows: Ints, tables: Sequence[Ints]) -> Ints:
        """Rows and all columns' bins, shape (keys, width), of tables with room for `MOST_BINS`."""
        counts = [table[:, : bins.size] for table, bins in zip(tables, self._binning.columns, strict=True)]
        return np.concatenate([rows[:, None], *counts], axis=1)


def _joined(parts: Sequence[Cells]) -> Cells:
    """One table of counts whose keys may come in any order, and again."""
    if not parts:
        return Cells()
    keys, counts = np.concatenate([p.keys for p in parts]), np.concatenate([p.counts for p in parts])
    order = np.argsort(keys, kind="stable")
    starts = _runs(keys[order])
    return Cells(keys[order][starts], np.add.reduceat(counts[order], starts, axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """What a batch's rows are counted by: `of`, shape (rows,), below `size`. `names` are what the keys stand for."""

    of: Ints
    size: int
    names: Ints
    shape: tuple[int, ...] = ()
    """Of keys that combine several dimensions: how many values each has; `names` are then the dimensions."""


def _hours(ts: Ints) -> Keys:
    hours = ts // HOUR_US
    first, span = int(hours.min()), int(hours.max() - hours.min()) + 1
    if span <= MOST_HOURS:
        return Keys(hours - first, span, np.arange(first, first + span))
    names = without_repeats(hours)
    return Keys(np.searchsorted(names, hours), len(names), names)


def _groups(codes: Sequence[Codes], binning: Binning) -> list[Keys]:
    """Dimensions of few bins are counted in one go, and parted afterwards."""
    sizes = {d: binning.columns[binning.index[name]].size for d, name in enumerate(binning.dimensions)}
    found = []
    for together in _together(sizes):
        joint = np.zeros(len(codes[0]), np.int64)
        for d in together:
            joint = joint * sizes[d] + codes[binning.index[binning.dimensions[d]]]
        shape = tuple(sizes[d] for d in together)
        found.append(Keys(joint, int(np.prod(shape)), np.array(together), shape))
    return found


def _tables(keys: Keys, codes: Sequence[Codes]) -> list[Ints]:
    """Counts by key and bin of each column, shape (keys, MOST_BINS)."""
    cells = keys.of << _BITS
    return [np.bincount(cells + c, minlength=keys.size << _BITS).reshape(keys.size, MOST_BINS) for c in codes]


def _counts(first: Keys, second: Keys | None, codes: Sequence[Codes]) -> tuple[list[Ints], list[Ints]]:
    """Tables by either key, from one count of both together where there are few pairs."""
    if second is None:
        return _tables(first, codes), []
    if first.size * second.size > MOST_PAIRS:
        return _tables(first, codes), _tables(second, codes)
    pairs = Keys(first.of * second.size + second.of, first.size * second.size, first.names)
    cubes = [table.reshape(first.size, second.size, MOST_BINS) for table in _tables(pairs, codes)]
    return [cube.sum(axis=1) for cube in cubes], [cube.sum(axis=0) for cube in cubes]


def _runs(values: Ints) -> Ints:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.diff(values, prepend=values[:1] - 1))


def _together(sizes: dict[int, int]) -> list[list[int]]:
    """Dimensions that are counted in one go: as many as keep the product of their bins within JOINT."""
    groups: list[list[int]] = []
    product = JOINT + 1
    for d in sorted(sizes, key=lambda d: sizes[d]):
        if product * sizes[d] <= JOINT:
            groups[-1].append(d)
            product *= sizes[d]
        else:
            groups.append([d])
            product = sizes[d]
    return groups
