"""How far two sets of counts lie apart, and how surprising that is. Blocks of bins are laid end to end in one array.

`starts`, shape (blocks,), says where each block begins; shares sum to one within a block.
"""

from __future__ import annotations

import numpy as np

from whimbrel.model.rows import Floats, Ints


def normalised(counts: Floats, starts: Ints) -> Floats:
    """Shares within each block, shape as `counts` (…, bins); zeros where a block is empty."""
    sums = np.add.reduceat(counts, starts, axis=-1)
    widths = np.diff(starts, append=counts.shape[-1])
    shares: Floats = counts / np.repeat(np.where(sums > 0, sums, 1.0), widths, axis=-1)
    return shares


def divergence(before: Floats, after: Floats, starts: Ints) -> Floats:
    """Jensen-Shannon divergence of each block, in nats, between 0 and ln 2; shape (…, blocks).

    Finite whatever is empty, unlike the population stability index, of which it is an eighth where shifts are small.
    Source: Lin, "Divergence measures based on the Shannon entropy" (1991).
    """
    middle = (before + after) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(before > 0, before * np.log(before / middle), 0.0)
        terms += np.where(after > 0, after * np.log(after / middle), 0.0)
    return np.maximum(np.add.reduceat(terms, starts, axis=-1) / 2, 0.0)


def divergence_of_two(before: Floats, after: Floats) -> Floats:
    """The divergence between a share and its rest before, and the same after; elementwise."""
    both = np.stack([before, 1 - before], axis=-1), np.stack([after, 1 - after], axis=-1)
    return divergence(np.maximum(both[0], 0.0), np.maximum(both[1], 0.0), np.zeros(1, np.int64))[..., 0]


def freedom(before: Floats, after: Floats, starts: Ints) -> Floats:
    """Degrees of freedom of each block: its bins that hold anything, less one, at least one; shape (…, blocks)."""
    held = (before > 0) | (after > 0)
    dof: Floats = np.maximum(np.add.reduceat(held.astype(np.float64), starts, axis=-1) - 1, 1.0)
    return dof


def noise(rows_before: float, rows_after: float) -> float:
    """Divergence a degree of freedom between two samples of one distribution: (1/n + 1/m) / 8.

    The population stability index of two such samples has mean (bins - 1)(1/n + 1/m); this is its eighth.
    """
    return (1 / rows_before + 1 / rows_after) / 8


def surprise(found: Floats, unit: Floats, dof: Floats) -> Floats:
    """How many standard deviations `found / unit` lies above what chi-square with `dof` degrees of freedom gives.

    By the cube root that makes chi-square nearly normal: Wilson and Hilferty, "The distribution of chi-square" (1931).
    `chi_square` is its inverse.
    """
    spread = 2 / (9 * dof)
    z: Floats = (np.cbrt(found / unit / dof) - (1 - spread)) / np.sqrt(spread)
    return z


def chi_square(z: float, dof: Floats) -> Floats:
    """The point of chi-square with `dof` degrees of freedom that lies `z` standard deviations up, by the same cube root."""
    spread = 2 / (9 * dof)
    point: Floats = dof * (1 - spread + z * np.sqrt(spread)) ** 3
    return point
