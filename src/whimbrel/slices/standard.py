"""What each row's value would be by golden's mix alone: main effects of all attributes, fitted on the earlier window.

A change of mix then moves no residual: if tenants with slow requests send more of them, every slice's residual stays where it was, and
what the fit accounts for is told as mix (Kitagawa, "Components of a difference between two rates", 1955, with a model for the strata).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.model.rows import Floats
from whimbrel.slices.cube import Codes, Cuboid

_RIDGE = 1.0
"""Rows that say a value has no effect of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Main effects: `base` is the mean before, `effects[k]`, shape (values,), is what attribute k's value adds to it."""

    base: float
    effects: tuple[Floats, ...]

    def fitted(self, codes: Sequence[Codes]) -> Floats:
        """The expected value of each row, shape (n,)."""
        out = np.full(len(codes[0]), self.base)
        for effect, code in zip(self.effects, codes, strict=True):
            out += effect[code]
        return out


def fit(rows: Mapping[Cuboid, Floats], codes: Sequence[Codes], values: Floats, sizes: Sequence[int]) -> Fit:
    """Main effects by ridge regression; all that it needs are counts by pair of values and sums by value.

    Args:
        rows: how many rows have each value and each pair of values, shape (1, cells) a cuboid.
        codes: the value of each attribute of each row, one array an attribute, shape (n,).
        values: the measured value, shape (n,).
        sizes: how many values each attribute has.
    """
    base = float(values.mean())
    starts = np.concatenate([[0], np.cumsum(sizes)])
    gram = np.eye(int(starts[-1])) * _RIDGE
    target = np.zeros(int(starts[-1]))
    centred = values - base
    for a, size in enumerate(sizes):
        mine = slice(starts[a], starts[a + 1])
        gram[mine, mine] += np.diag(rows[(a,)][0])
        target[mine] = np.bincount(codes[a], centred, minlength=size)
        for b in range(a + 1, len(sizes)):
            block = rows[(a, b)][0].reshape(size, sizes[b])
            other = slice(starts[b], starts[b + 1])
            gram[mine, other] = block
            gram[other, mine] = block.T
    effects: Floats = np.linalg.solve(gram, target).astype(np.float64)
    return Fit(base, tuple(effects[starts[a] : starts[a + 1]] for a in range(len(sizes))))
