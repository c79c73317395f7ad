"""Sums of records by every value and every pair of values: one addition and one `bincount` a pair, nothing else touches the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.model.rows import Bools, Floats, Ints

Codes: TypeAlias = NDArray[np.unsignedinteger[Any]]
Cuboid: TypeAlias = tuple[int, ...]
"""Attributes by place, ascending; `()` is everything."""

MOST_CELLS = 2_000_000
"""Cells of a cuboid that are summed without looking for promising ones first."""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """One window's records: `codes[k]`, shape (n,), is attribute k's value; each of `weights`, shape (n,), is summed; None counts."""

    codes: tuple[Codes, ...]
    weights: tuple[Floats | None, ...]

    def __len__(self) -> int:
        return len(self.codes[0])

    def take(self, rows: Ints | Bools) -> Records:
        """The chosen records."""
        return Records(tuple(c[rows] for c in self.codes), tuple(None if w is None else w[rows] for w in self.weights))

    def inside(self, cuboid: Cuboid, cell: Sequence[int]) -> Bools:
        """Which records lie in a cell, shape (n,)."""
        held = np.ones(len(self), np.bool_)
        for attribute, value in zip(cuboid, cell, strict=True):
            held &= self.codes[attribute] == value
        return held


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Sums by cell of one cuboid: `ids`, shape (cells,), are row-major over the attributes' sizes; `sums` has shape (statistics, cells)."""

    ids: Ints
    sums: Floats


Tables: TypeAlias = Mapping[Cuboid, Cells]


def cuboids(attributes: int, depth: int) -> list[Cuboid]:
    """All cuboids of this depth."""
    return list(combinations(range(attributes), depth))


def tables(windows: Sequence[Records], sizes: Sequence[int], depth: int) -> dict[Cuboid, Cells]:
    """Sums of all windows' weights, one window's after the other's, by all cuboids down to `depth` (at most 3)."""
    parts = [_window(window, sizes, depth) for window in windows]
    return {cuboid: Cells(np.arange(first.shape[1]), np.concatenate([part[cuboid] for part in parts])) for cuboid, first in parts[0].items()}  # fmt: skip


def minus(whole: Tables, part: Tables) -> dict[Cuboid, Cells]:
    """The whole's sums without the part's."""
    return {cuboid: Cells(cells.ids, cells.sums - part[cuboid].sums) for cuboid, cells in whole.items()}


def counts(window: Records, sizes: Sequence[int], weights: Iterable[Floats | None]) -> dict[Cuboid, Floats]:
    """Sums of other weights over the same records by value and pair."""
    return _window(Records(window.codes, tuple(weights)), sizes, 2)


def _window(window: Records, sizes: Sequence[int], depth: int) -> dict[Cuboid, Floats]:
    """The sums of one window, shape (weights, cells) each.

    Codes are widened once; a pair's cell is one addition, since every attribute is scaled by the same stride.
    """
    attributes, stride = len(sizes), max(sizes)
    wide = [codes.astype(np.int64) for codes in window.codes]
    cell = np.empty(len(window), np.int64)
    found: dict[Cuboid, Floats] = {
        (): np.array([[float(len(window) if w is None else w.sum())] for w in window.weights])
    }
    for a in range(attributes):
        found[(a,)] = sums_of(wide[a], window.weights, sizes[a])
    for a in range(attributes if depth > 1 else 0):
        scaled = wide[a] * stride
        for b in range(a + 1, attributes):
            np.add(scaled, wide[b], out=cell)
            laid = sums_of(cell, window.weights, sizes[a] * stride)
            found[(a, b)] = laid.reshape(-1, sizes[a], stride)[:, :, : sizes[b]].reshape(len(laid), -1)
            for c in range(b + 1, attributes if depth > 2 else 0):
                triple = (wide[a] * sizes[b] + wide[b]) * sizes[c] + wide[c]
                found[(a, b, c)] = sums_of(triple, window.weights, sizes[a] * sizes[b] * sizes[c])
    return found


def sums_of(cell: Ints, weights: Sequence[Floats | None], size: int) -> Floats:
    """The sums of each of the weights by cell, shape (weights, size)."""
    return np.stack([np.bincount(cell, weight, minlength=size) for weight in weights]).astype(np.float64)


def located(ids: Ints, cuboid: Cuboid, sizes: Sequence[int]) -> tuple[Ints, ...]:
    """Each cell's value of each of the cuboid's attributes."""
    return tuple(np.unravel_index(ids, [sizes[a] for a in cuboid])) if cuboid else ()
