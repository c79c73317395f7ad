"""Fields that say when and where, not who: the weather, a rate, a delay board. Their rows are no witnesses of their own.

In: a `Case`, a field's values and a flag a row. Out: for how many hours on end the flag held at one place, in golden and in the
window. What the world did for five hours in golden it may do for fifteen.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import HOUR_US, MAX_VALUES, Case
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

SHARED = 0.3
"""The share of its variance that a state may have among rows of one hour and place."""
LONGER = 3.0
"""Times golden's longest stretch that a stretch may last and still be the world's."""
_CROWD = 3


def places(case: Case, values: Floats, shared: float = SHARED) -> Ints | None:
    """The place of each row, shape (n,), where rows of one hour and place share a value on golden; None for no state.

    `shared` is the share of the variance that may be left among such rows.

    A place is a value of whichever category, of who asks or of what is asked, makes the rows most alike, or everywhere.
    """
    rows = np.flatnonzero(case.golden & np.isfinite(values))
    if rows.size < 40 or np.ptp(values[rows]) == 0:
        return None
    whole = float(np.var(values[rows]))
    best: tuple[float, Ints] | None = None
    everywhere = np.zeros(len(case.ts), dtype=np.int64)
    dimensions = [
        d.codes for d in case.dimensions if role_of(d.path) is Role.CONTEXT and 1 < len(d.values) <= MAX_VALUES
    ]
    inputs = [
        v.codes for v in case.of(Role.INPUT) if v.codes is not None and 1 < v.distinct <= MAX_VALUES and not v.derived
    ]
    for codes in (everywhere, *dimensions, *inputs):
        index = np.unique(_cells(case, codes)[rows], return_inverse=True)[1]
        counts = np.bincount(index).astype(float)
        crowded = counts[index] >= _CROWD
        if crowded.mean() < 0.4:
            continue
        means = np.bincount(index, weights=values[rows]) / counts
        spread = (values[rows] - means[index]) ** 2 * (counts / np.maximum(counts - 1, 1))[index]
        within = float(spread[crowded].mean()) / whole
        if best is None or within < 0.9 * best[0]:
            best = (within, codes)
    return best[1] if best is not None and best[0] < shared else None


def _cells(case: Case, codes: Ints) -> Ints:
    cells: Ints = (case.ts // HOUR_US) * (int(codes.max(initial=0)) + 2) + codes + 1
    return cells


def longest(case: Case, place: Ints, same: Ints, rows: Bools) -> int:
    """For how many hours on end most rows of one place had the same code, at most; rows whose code is negative do not count."""
    chosen = np.flatnonzero(rows)
    most = 0
    for where in np.unique(place[chosen]):
        here = chosen[place[chosen] == where]
        hours, index = np.unique(case.ts[here] // HOUR_US, return_inverse=True)
        pairs, counts = np.unique(np.stack([index, same[here]]), axis=1, return_counts=True)
        order = np.lexsort((counts, pairs[0]))
        last = np.flatnonzero(np.append(np.diff(pairs[0][order]) > 0, True))
        common = pairs[1][order][last]
        breaks = np.flatnonzero((np.diff(common) != 0) | (np.diff(hours) > 3)) + 1
        for run in np.split(np.arange(common.size), breaks):
            if common[run[0]] >= 0:
                most = max(most, int(hours[run[-1]] - hours[run[0]]) + 1)
    return most
