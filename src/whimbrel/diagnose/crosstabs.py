"""A number that two categories decide together: a tariff by zone and class, the lift of an offer in a department.

In: a number and the fields that it may be read off. Out: the relation, where golden's table of two of them always holds. A cell that golden
never had says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from whimbrel.diagnose.case import Variable
from whimbrel.diagnose.forms import judge
from whimbrel.diagnose.relations import Relation, Split

_VALUES, _FIELDS = 60, 8
"""Values of a category that is crossed; categories that are, the nearest to the number first."""
_CELLS = 0.1
"""Cells of a table, as a part of the rows that teach it: more would be found in anything."""
_SHARE = 0.995
"""The share of golden's held-out rows in which the table must hold."""


def crossed(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The smallest table of two categories that says the number; None where none does."""
    assert target.numbers is not None
    listed = [p for p in parents if p.codes is not None and 1 < p.distinct <= _VALUES][:_FIELDS]
    train = parts.train[np.isfinite(target.numbers[parts.train])]
    best, fewest = None, _CELLS * train.size
    for one, other in combinations(listed, 2):
        assert one.codes is not None
        assert other.codes is not None
        cells = np.unique((one.codes + 1) * (len(other.vocabulary) + 1) + other.codes + 1, return_inverse=True)[1]
        counts = np.bincount(cells[train], minlength=int(cells.max()) + 1)
        if np.count_nonzero(counts) >= fewest:
            continue
        sums = np.bincount(cells[train], weights=target.numbers[train], minlength=counts.size)
        table = np.where(counts >= 2, sums / np.maximum(counts, 1), np.nan)
        found = judge(parts, target, table[cells], _SHARE, form="function", parents=(one.name, other.name))
        if found is not None:
            best, fewest = found, float(np.count_nonzero(counts))
    return best
