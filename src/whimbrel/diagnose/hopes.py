"""Whether a field may be foretold at all: asked of each other field alone before trees are fitted to all of them, for most that is tried fails there.

In: a `Case` and golden's rows for learning and checking. Out: yes or no for a target and its parents. `boundaries` and `terms` ask.

A field tells at least what its bins do: the share of the variance of the target's ranks that lies between them, or of the variance of whether
a category has some value, less what as many bins of noise would show. Where no field has `LEAST_TOLD` to say, all of them together have not enough
to say for a fitted model or a rule, unless it lies in how fields go together alone; and among many of those greedy trees, which split by one field
at a time, do not find that either.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.relations import Split
from whimbrel.model.rows import Bools, Floats, Ints

LEAST_TOLD = 0.003
"""The share of a target's variance that one field must tell: of `boundaries.MOST_PARENTS` with less each, none is worth a model."""
FEW = 6
"""Fields among which trees find also what only two together tell."""
BINS = 16


class Hopes:
    """Golden's rows by the bins of each field, which are made once for all targets; what was asked is remembered."""

    def __init__(self, case: Case, parts: Split) -> None:
        self.parts = parts
        self._asked: dict[tuple[str, ...], bool] = {}
        self._rows = np.concatenate([parts.train, parts.check])
        self._bins: dict[str, Ints] = {}
        self._clock = [np.floor(case.hour[self._rows]).astype(np.int64), case.weekday[self._rows].astype(np.int64)]

    def any(self, target: Variable, parents: Sequence[Variable]) -> bool:
        """Whether some parent, or the clock, tells enough of the target, or there are too few to say so."""
        if len(parents) <= FEW:
            return True
        asked = target.name, *(parent.name for parent in parents)
        if asked not in self._asked:
            self._asked[asked] = self._any(target, parents)
        return self._asked[asked]

    def most(self, values: Floats, parents: Sequence[Variable]) -> float:
        """The largest share of these numbers' variance, shape (n,), that one parent tells."""
        y = values[self._rows]
        return max((_told(y, np.isfinite(y), self._binned(parent)) for parent in parents), default=0.0)

    def _any(self, target: Variable, parents: Sequence[Variable]) -> bool:
        every = chain(self._clock, map(self._binned, parents))
        if target.numbers is None:
            assert target.codes is not None
            codes = target.codes[self._rows]
            known = codes >= 0
            values, which = np.unique(codes[known], return_inverse=True)
            if values.size > MAX_VALUES:
                return True
            return any(told_apart(which, values.size, bins[known]).max(initial=0.0) >= LEAST_TOLD for bins in every)
        y = target.numbers[self._rows]
        known = np.isfinite(y)
        ordered = np.sort(y[known])
        ranks = np.searchsorted(ordered, y, "left") + np.searchsorted(ordered, y, "right").astype(np.float64)
        return any(_told(ranks, known, bins) >= LEAST_TOLD for bins in every)

    def _binned(self, variable: Variable) -> Ints:
        """The bin of each row, 0 where null, shape (rows,)."""
        if variable.name not in self._bins:
            self._bins[variable.name] = bins_of(variable.only(self._rows))
        return self._bins[variable.name]


def bins_of(variable: Variable) -> Ints:
    """The bin of each row, shape (n,): by quantiles, 0 where null; of a category each value is one."""
    if variable.codes is not None:
        return np.unique(variable.codes, return_inverse=True)[1]
    assert variable.numbers is not None
    known = np.isfinite(variable.numbers)
    if not known.any():
        return np.zeros(known.size, dtype=np.int64)
    edges = np.unique(np.quantile(variable.numbers[known], np.arange(1, BINS) / BINS))
    return np.where(known, 1 + np.searchsorted(edges, variable.numbers), 0)


def _told(y: Floats, known: Bools, bins: Ints) -> float:
    """The share of the variance of the known rows that lies between bins, less what chance gives."""
    y, bins = y[known], bins[known]
    if not y.size:
        return 0.0
    counts = np.bincount(bins)
    sums, filled = np.bincount(bins, weights=y - y.mean()), counts > 0
    total = float(((y - y.mean()) ** 2).sum())
    free = y.size - int(filled.sum())
    if not total > 0 or free < 1:
        return 0.0
    within = total - float((sums[filled] ** 2 / counts[filled]).sum())
    return 1 - within / free / (total / (y.size - 1))


def told_apart(which: Ints, values: int, bins: Ints) -> Floats:
    """The like share for whether a category has each value, shape (values,); `which` are 0 to `values`."""
    if values < 2:
        return np.zeros(values)
    counts = np.bincount(bins * values + which, minlength=(int(bins.max()) + 1) * values).reshape(-1, values)
    sizes, n, every = counts.sum(axis=1, keepdims=True), which.size, counts.sum(axis=0)
    free = n - int((sizes > 0).sum())
    if free < 1:
        return np.zeros(values)
    within = (counts - counts**2 / np.maximum(sizes, 1)).sum(axis=0)
    out: Floats = 1 - within / free / ((every - every**2 / n) / (n - 1))
    return out
