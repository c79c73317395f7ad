"""A rule that is one cut: two values of a field that lie on both sides of one threshold of another, as a decision does of its score.

In: a design's matrix and the codes of the rows that teach. Out: a `Cut`, which answers as scikit-learn's trees do, and for which none has to be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.model.rows import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Cut:
    """`below` up to the threshold of one column, `above` beyond it; null goes with the most."""

    column: int
    threshold: float
    below: int
    above: int
    null_below: bool
    feature_importances_: Floats

    def apply(self, x: Floats) -> Ints:
        """The side of each row, 1 or 2."""
        column = x[:, self.column].astype(np.float32)  # as a tree sees it
        low: Bools = np.where(np.isnan(column), self.null_below, column <= self.threshold)
        return np.where(low, 1, 2)

    def predict(self, x: Floats) -> Ints:
        """The value of each row."""
        return np.where(self.apply(x) == 1, self.below, self.above)


def cut(x: Floats, y: Ints, least: int = 2) -> Cut | None:
    """The cut of the first column that parts two values without an error, with `least` rows on either side; None where none does."""
    values, counts = np.unique(y, return_counts=True)
    if values.size != 2 or counts.min() < least:
        return None
    first = y == values[0]
    for j, column in enumerate(x.T.astype(np.float32)):
        if np.isnan(column).any():
            continue
        here, there = column[first], column[~first]
        for below, above, lower, upper in ((0, 1, here, there), (1, 0, there, here)):
            low, high = float(lower.max()), float(upper.min())
            if low < high:
                importances = np.zeros(x.shape[1])
                importances[j] = 1.0
                middle = low / 2 + high / 2
                threshold = low if middle == high else middle
                most = lower.size > upper.size
                return Cut(j, threshold, int(values[below]), int(values[above]), most, importances)
    return None
