"""How a slice's mean wobbles from one block of golden to the next, and how much of that a window of several blocks averages out.

In: sums by block, slice and channel, as `scan` has them. Out: variances of means, shape (slices, channels); only `scan` may call.

Blocks are not always independent: a machine that wears, a customer who grows, stay for days where they are. How far a block foretells the next is
learned on golden, from all values of one dimension together, for sixteen blocks of one value say little. What stays as it is averages out
later, and golden saw less of it than there is (Bayley and Hammersley 1946, Kendall 1954). Blocks weigh by their rows, as studies do of which a
few are small (DerSimonian and Laird 1986): what is left of golden after its last whole block is a few rows, and they say as little as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.model.rows import Bools, Floats, Ints

BORROWED = 3.0
"""Blocks of its like that count beside a slice's own when its wobble is judged."""
_MOST = 0.95
"""The most that a block is believed to foretell the next by."""
_SURE = 2.0
"""Standard errors by which it must do so."""
_LEAST_ROWS = 8
"""Rows of a block that tell its mean."""
_MUCH = 0.25
"""Of the usual block's rows, those that a block must have to tell how the next one goes on."""


@dataclass(frozen=True, eq=False)
class Wobble:
    """Shape (slices, channels) each: the variance of one block's mean beyond its rows', and of the difference of window and golden."""

    between: Floats
    difference: Floats


def wobble(sums: Floats, squares: Floats, counts: Floats, family: Ints, asked: float) -> Wobble:
    """How means wobble: golden's sums, shape (blocks, slices, channels); the dimension of each slice; the blocks that are asked about."""
    blocks = sums.shape[0]
    n = np.where(counts >= _LEAST_ROWS, counts, 0.0)
    k, total = (n > 0).sum(axis=0), np.maximum(n.sum(axis=0), 1)
    means = np.where(n > 0, sums / np.maximum(counts, 1), 0.0)
    deviations = np.where(n > 0, means - (n * means).sum(axis=0) / total, 0.0)
    within = (np.maximum(squares / np.maximum(counts, 1) - means**2, 0.0) * n).sum(axis=0) / total  # of a row
    beyond = (n * deviations**2).sum(axis=0) - np.maximum(k - 1, 0) * within
    own = np.where(k >= 3, np.maximum(beyond, 0.0) / np.maximum(total - (n**2).sum(axis=0) / total, 1), 0.0)
    rows = within * (n > 0).sum(axis=0) / total
    enough = (n > 0) & (n >= _MUCH * total / np.maximum(k, 1))
    deviations = np.where(enough, deviations, 0.0)
    stays = _stays(deviations, enough, own, family, blocks)
    # A slice that golden knows from few blocks (last week's release) borrows what its like and all traffic do.
    known = np.where(k >= 3, k, 0)
    like = _by_family(own * known, family) / np.maximum(_by_family(known.astype(float), family), 1.0)
    own = (known * own + BORROWED * np.maximum(like, own[:1])) / (known + BORROWED)
    unseen = 1 - _averaged(float(max(blocks, 2)), stays)
    between = own * (1 - 1 / max(blocks, 2)) / np.maximum(unseen, 1 - _MOST)
    time = np.arange(blocks)[:, None, None] - (blocks - 1) / 2
    slope = (deviations * time).sum(axis=0) / np.maximum((enough * time**2).sum(axis=0), 1e-9)
    noise = np.sqrt((between + rows) / np.maximum((enough * time**2).sum(axis=0), 1e-9))
    trend = np.where((k >= 5) & (np.abs(slope) > 2 * noise), np.abs(slope) * (blocks / 2 + 1), 0.0)
    share = _averaged(asked, stays) + _averaged(float(max(blocks, 1)), stays)
    return Wobble(between, between * share + trend**2)


def _stays(deviations: Floats, enough: Bools, own: Floats, family: Ints, blocks: int) -> Floats:
    """How far a block foretells the next, 0 to 1, shape (slices, channels): one number for each dimension, what chance gives left out."""
    both = enough[1:] & enough[:-1]
    together = _by_family((deviations[1:] * deviations[:-1] * both).sum(axis=0), family)
    pairs = both.sum(axis=0)
    scale = _by_family(own * pairs, family)
    found = np.where(scale > 0, together / np.maximum(scale, 1e-18), 0.0)
    found = np.clip((found + 1 / blocks) / (1 - 3 / blocks), 0.0, 1.0) if blocks > 6 else np.zeros_like(found)
    chance = _SURE / np.sqrt(np.maximum(_by_family(pairs.astype(float), family), 1.0))
    return np.where(found > chance, np.minimum(found, _MOST), 0.0)


def _averaged(blocks: float, stays: Floats) -> Floats:
    """The variance of the mean of so many blocks, in that of one."""
    if blocks <= 1:
        return np.full_like(stays, 1 / blocks)
    out: Floats = (1 + stays) / (1 - stays) - 2 * stays * (1 - stays**blocks) / (blocks * (1 - stays) ** 2)
    return out / blocks


def _by_family(values: Floats, family: Ints) -> Floats:
    """The sum over all slices of one dimension, shape (slices, channels) again."""
    sums = np.zeros((int(family.max()) + 1, values.shape[1]))
    np.add.at(sums, family, values)
    return sums[family]
