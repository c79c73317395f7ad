"""How far two columns may lie apart for no other reason than how numbers are rounded.

In: a recorded column and the code's. Out: gaps that are relative to the column's magnitude, and the least tolerance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from whimbrel.model.records import Records
from whimbrel.model.rows import Floats
from whimbrel.replay.record import gap

FLOOR = 2**-22
"""Two units in the last place of single precision: a model does not see less, whoever rounded."""

_SINGLE = 1e-5
"""What arithmetic in single precision leaves, where the values of one side are all of single precision."""


def weighed(recorded: Records, replayed: Records, path: str, apart: Floats) -> tuple[Floats, float]:
    """One field's gaps, shape (n,), relative to the code's median magnitude where that is greater; and its least tolerance.

    What a subtraction leaves of two large numbers is small, and its rounding is theirs. Whole numbers have no rounding, and so
    no tolerance; where one side holds nothing finer than single precision, the rounding of that is none of the code's.
    """
    plain = path in recorded.at and path in replayed.at
    theirs, ours = (one.matrix([path])[:, 0] if plain else _numbers(one.objects(path)) for one in (recorded, replayed))
    known = [values[np.isfinite(values)] for values in (theirs, ours)]
    scale = float(np.median(np.abs(known[1]))) if known[1].size else 0.0
    rows = np.flatnonzero((apart > 0) & np.isfinite(apart))
    out = apart.copy()
    if plain:
        size = np.maximum(np.abs(theirs[rows]), np.abs(ours[rows]))
        out[rows] *= size / np.maximum(size, scale)
    else:
        r, c = recorded.objects(path), replayed.objects(path)
        out[rows] = [gap(r[i], c[i], scale) for i in rows]
    if not any(np.any(np.mod(values, 1)) for values in known):
        return out, 0.0
    return out, _SINGLE if any(_single(values) for values in known) else FLOOR


def _numbers(cells: Any) -> Floats:
    """The numbers among cells and items of lists, shape (m,)."""
    items = (x for cell in cells for x in (cell if isinstance(cell, list) else (cell,)))
    return np.array([x for x in items if isinstance(x, int | float) and not isinstance(x, bool)], dtype=float)


def _single(values: Floats) -> bool:
    """Whether all values are of single precision, and not for being whole."""
    with np.errstate(over="ignore"):
        fits = np.array_equal(values, values.astype(np.float32).astype(float))
    return fits and bool(np.any(np.mod(values, 1)))
