"""Whom a rise hits: all traffic, one value of a field, several of its values that rise alike, or the values of two fields.

In: a `Case` and how far each row departs. Out: the conditions of the slice, and its rows. The slice is found by a scan statistic
(Kulldorff 1997, in its Gaussian form): the one with the largest squared excess a row, to depth two, named only when the rest of its
parent is unchanged. Of several values (two of eight hosts) each must show the rise by itself, no other may, and together they must
tell more than any single value does: the shortest description wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.diagnose import matrices
from whimbrel.diagnose.case import Case, Dimension
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints
from whimbrel.model.window import Condition, Where

QUIET = 0.3
"""A slice's surroundings are unchanged when they move by less than this share of what the slice moves."""
SURE = 3.5
"""Standard errors by which a value stands out: 6 nats, more than it takes to say which of sixty it is."""
MORE = 1.1
"""Times what one description less explains that a longer one must."""
_LEAST = 12
_PREFERENCE = {Role.CONTEXT: 0, Role.HARDWARE: 1, Role.MODEL: 2, Role.CODE: 3}


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """Values of a dimension that hold a rise, and how much of it they tell: rows times their squared mean."""

    dimension: Dimension
    codes: tuple[int, ...]
    gain: float

    @property
    def preference(self) -> tuple[int, int]:
        """Of parts that tell the same the one with fewer values, then that says who rather than where."""
        return -len(self.codes), -_PREFERENCE.get(matrices.role(self.dimension), 9)

    def beats(self, other: _Part | None) -> bool:
        """Whether it tells more, or as much in a better way."""
        if other is None or self.gain > 1.02 * other.gain:
            return True
        return self.gain > 0.98 * other.gain and self.preference > other.preference

    def rows(self) -> Bools:
        """The rows that have one of the values, shape (n,)."""
        chosen = np.zeros(len(self.dimension.values) + 1, dtype=bool)
        chosen[list(self.codes)] = True
        out: Bools = chosen[self.dimension.codes]  # a code of -1 reads the last, which is nobody's
        return out

    def condition(self) -> Condition:
        """What says so in a slice."""
        return Condition.any_of(self.dimension.path, sorted(self.dimension.values[code] for code in self.codes))


def slice_of(
    case: Case,
    excess: Floats,
    cuts: Callable[[Dimension], bool],
    among: Bools | None = None,
    *,
    several: bool = False,
) -> tuple[Where, Bools]:
    """The slice that holds a rise of `excess` in the window (or among the rows given), and its rows.

    `cuts` says which dimensions make slices; with `several` one of them may have a list of values.
    """
    judged = np.isfinite(excess)
    rows = np.flatnonzero(judged & (case.window if among is None else among))
    base = np.flatnonzero(judged & case.golden)
    parts: list[_Part] = []
    inside = np.ones(len(case.ts), dtype=bool)
    for _depth in range(2):
        part = _best(case, excess, rows, base, cuts, parts, several)
        if part is None:
            break
        parts.append(part)
        several = several and len(part.codes) == 1
        inside &= part.rows()
        rows, base = rows[inside[rows]], base[inside[base]]
    return tuple(sorted(part.condition() for part in parts)), inside


def _best(
    case: Case,
    excess: Floats,
    rows: Ints,
    base: Ints,
    cuts: Callable[[Dimension], bool],
    taken: Sequence[_Part],
    several: bool,
) -> _Part | None:
    """The values that hold the rise of their parent slice and leave the rest of it unchanged; None where none do."""
    values = excess[rows]
    if rows.size < 20:
        return None
    spread = float(values.std())
    whole = values.mean() - (excess[base].mean() if base.size >= _LEAST else 0.0)
    parent = rows.size * whole**2 if whole > 0 else 0.0
    one: _Part | None = None
    more: _Part | None = None
    for dimension in case.dimensions:
        of_code = matrices.role(dimension) is Role.CODE  # evidence about what ran, never an answer to whom it hit
        if of_code or not cuts(dimension) or any(dimension is part.dimension for part in taken):
            continue
        size = len(dimension.values) + 1
        codes, golden = dimension.codes[rows] + 1, dimension.codes[base] + 1
        n = np.bincount(codes, minlength=size)
        sums = np.bincount(codes, weights=values, minlength=size)
        known = np.bincount(golden, minlength=size)
        before = np.bincount(golden, weights=excess[base], minlength=size) / np.maximum(known, 1)
        before = np.where(known >= _LEAST, before, 0.0)
        rise = sums - n * before
        told = _Told(n, rise, spread, MORE * parent)
        for value in range(1, size):
            gain = told.gain(int(n[value]), float(rise[value]))
            if gain:
                found = _Part(dimension, (value - 1,), gain)
                one = found if found.beats(one) else one
        alike = told.alike() if several else ()
        gain = told.gain(int(n[list(alike)].sum()), float(rise[list(alike)].sum())) if alike else 0.0
        if gain and not matrices.clocked(case, dimension):
            found = _Part(dimension, tuple(value - 1 for value in alike), gain)
            more = found if found.beats(more) else more
    return more if more is not None and (one is None or more.gain > MORE * one.gain) else one


@dataclass(frozen=True, eq=False, slots=True)
class _Told:
    """Rows and rise of each value of a dimension, those of no value first; `least` is what a slice must tell."""

    n: Ints
    rise: Floats
    spread: float
    least: float

    def gain(self, n: int, rise: float) -> float:
        """How much values with so many rows and so much rise tell, 0 where the rest of the traffic rises as well."""
        outside = int(self.n.sum()) - n
        if n < _LEAST or rise <= 0 or outside < 5:
            return 0.0
        mean, rest = rise / n, (float(self.rise.sum()) - rise) / outside
        # What the rest moves must be small beside the slice, or within its own noise, and the slice must hold most.
        if rest > max(QUIET * mean, min(2.0 * self.spread / np.sqrt(outside), 0.45 * mean)):
            return 0.0
        if mean - rest < SURE * self.spread * np.sqrt(1 / n + 1 / outside) or rise < 0.6 * self.rise.sum():
            return 0.0
        gain = n * mean**2
        return gain if gain >= self.least else 0.0

    def alike(self) -> tuple[int, ...]:
        """The values that rise alike, each surely by itself, while no other does; at most half of them, else nothing."""
        means, noise = self.rise / np.maximum(self.n, 1), self.spread / np.sqrt(np.maximum(self.n, 1))
        seen = self.n >= _LEAST
        rising = seen & (means > SURE * noise)
        seen[0] = rising[0] = False
        if rising.sum() < 2:
            return ()
        rising &= means > 0.5 * self._level(rising)
        level = self._level(rising)
        like = means[rising].min() >= 0.5 * level and means[rising].max() <= 2 * level
        alone = not np.any(means[~rising] - 3 * noise[~rising] > QUIET * level)
        few = 2 <= rising.sum() <= seen.sum() / 2
        return tuple(np.flatnonzero(rising).tolist()) if few and like and alone else ()

    def _level(self, rising: Bools) -> float:
        return float(self.rise[rising].sum() / self.n[rising].sum())
