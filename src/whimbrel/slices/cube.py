"""Sums of records by every value and every pair of values: one addition and one `bincount` a pair, nothing else touches the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.model.rows import Bools, Floats, Ints

Codes: TypeAlias = NDArray[np.unsignedinteger[Any]]
Cuboid: TypeAlias = tuple[int, ...]
"""Attributes by place, ascending; `()` is everything."""

_BLOCK = 1 << 16
"""Rows whose widened codes stay in the processor's cache."""
MOST_CELLS = 2_000_000
"""Cells of a cuboid that are summed without looking for promising ones first."""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """One window's records: `codes[k]`, shape (n,), is attribute k's value; each of `weights`, shape (n,), is summed; None counts."""

    codes: tuple[Codes, ...]
    weights: tuple[Floats | None, ...]

    def __len__(self) -> int:
        return len(self.codes[0])

    def take(self, rows: Ints | Bools | slice) -> Records:
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


def summed(rows: int, sizes: Sequence[int], depth: int) -> int:
    """The depth to which all cells are summed: the third level only where that is cheap."""
    triples = cuboids(len(sizes), 3)
    cells = sum(sizes[a] * sizes[b] * sizes[c] for a, b, c in triples)
    return min(depth, 3 if rows * len(triples) <= 4 * MOST_CELLS and cells <= MOST_CELLS else 2)


def tables(windows: Sequence[Records], sizes: Sequence[int], depth: int) -> dict[Cuboid, Cells]:
    """Sums of all windows' weights, one window's after the other's, by all cuboids down to `depth` (at most 3)."""
    return stacked([window_sums(window, sizes, depth) for window in windows])


def stacked(parts: Sequence[Mapping[Cuboid, Floats]]) -> dict[Cuboid, Cells]:
    """Statistics of the same cuboids below each other."""
    return {
        cuboid: Cells(np.arange(first.shape[1]), np.concatenate([part[cuboid] for part in parts]))
        for cuboid, first in parts[0].items()
    }


def minus(whole: Tables, part: Tables) -> dict[Cuboid, Cells]:
    """The whole's sums without the part's."""
    return {cuboid: Cells(cells.ids, cells.sums - part[cuboid].sums) for cuboid, cells in whole.items()}


def window_sums(window: Records, sizes: Sequence[int], depth: int) -> dict[Cuboid, Floats]:
    """The sums of one window by all cuboids down to `depth`, shape (weights, cells) each, block by block."""
    found: dict[Cuboid, Floats] = {
        (): np.array([[float(len(window) if w is None else w.sum())] for w in window.weights])
    }
    for start in range(0, max(len(window), 1), _BLOCK):
        block = window.take(slice(start, start + _BLOCK))
        for cuboid, sums in _block_sums(block, sizes, depth):
            if cuboid in found:
                found[cuboid] += sums
            else:
                found[cuboid] = sums
    stride = max(sizes)
    for a, b in cuboids(len(sizes), 2) if depth > 1 else ():
        laid = found[(a, b)]
        found[(a, b)] = laid.reshape(-1, sizes[a], stride)[:, :, : sizes[b]].reshape(len(laid), -1)
    return found


def _block_sums(block: Records, sizes: Sequence[int], depth: int) -> Iterator[tuple[Cuboid, Floats]]:
    """A pair's cell is one addition, since every attribute is scaled by the same stride (the cells of a pair are laid out by it)."""
    stride = max(sizes)
    wide = [codes.astype(np.int64) for codes in block.codes]
    cell = np.empty(len(block), np.int64)
    for a, size in enumerate(sizes):
        yield (a,), sums_of(wide[a], block.weights, size)
        scaled = wide[a] * stride
        for b in range(a + 1, len(sizes) if depth > 1 else 0):
            np.add(scaled, wide[b], out=cell)
            yield (a, b), sums_of(cell, block.weights, size * stride)
            for c in range(b + 1, len(sizes) if depth > 2 else 0):
                triple = (wide[a] * sizes[b] + wide[b]) * sizes[c] + wide[c]
                yield (a, b, c), sums_of(triple, block.weights, size * sizes[b] * sizes[c])


def sums_of(cell: Ints, weights: Sequence[Floats | None], size: int) -> Floats:
    """The sums of each of the weights by cell, shape (weights, size)."""
    found = np.empty((len(weights), size))
    for row, weight in zip(found, weights, strict=True):
        row[:] = np.bincount(cell, weight, minlength=size)
    return found


def located(ids: Ints, cuboid: Cuboid, sizes: Sequence[int]) -> tuple[Ints, ...]:
    """Each cell's value of each of the cuboid's attributes."""
    return tuple(np.unravel_index(ids, [sizes[a] for a in cuboid])) if cuboid else ()
