"""Sums of as few numbers as say what many do.

In: a design of columns and what they are to sum up to. Out: weights, zero for most. `forms` asks.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.rounding import tolerance
from whimbrel.model.rows import Floats

_FEWEST = 12
"""Columns up to which it is sought whether fewer than half say the same."""


def fewest(design: Floats, y: Floats) -> Floats:
    """The weights of least squares, of as few columns as say it as well: what else grows with time says it only until golden ends.

    Columns are taken up one by one, each time the one that goes most with what is left (orthogonal matching pursuit: Pati et al. 1993).
    """
    whole: Floats = np.linalg.lstsq(design, y, rcond=1e-9)[0].astype(np.float64)
    rest, near = float(np.quantile(np.abs(y - design @ whole), 0.95)), tolerance(y)
    if rest > 10 * near:  # no exact sum
        return whole
    enough = max(2 * rest, 0.3 * near)
    left, used = y, np.array([], dtype=np.int64)
    while used.size < min(design.shape[1] // 2, _FEWEST):
        pull = np.abs(design.T @ left)
        pull[used] = 0.0
        used = np.append(used, int(pull.argmax()))
        few = np.linalg.lstsq(design[:, used], y, rcond=1e-9)[0].astype(np.float64)
        left = y - design[:, used] @ few
        if float(np.quantile(np.abs(left), 0.95)) <= enough:
            whole = np.zeros_like(whole)
            whole[used] = few
            break
    return whole
