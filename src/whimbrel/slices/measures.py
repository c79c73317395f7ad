"""What a cell says about the change: an effect and its variance, from sums that add up.

Three measures, one question. A mean's effect is an additive shift of what the rest of the row led to expect; a count's, a sum's and
a leaf's is a relative change, 2(after − before)/(after + before), between −2 (gone) and 2 (new): finite where one side is zero and the
same for all leaves of a cause under the generalised ripple effect (Li et al., "Generic and robust localization of multi-dimensional root
causes", 2019).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.model.rows import Floats
from whimbrel.slices.cube import Cells, Codes, Cuboid, Records, Tables, located, minus, summed, tables

FEW = 8
"""Rows of a cell in the later window below which its mean says nothing."""
UNEVEN = 0.1
"""Children of one cause may differ by about this share of its effect."""
_MEDIAN_Z = 0.6745
_SHORTEST, _SHORTEST_Z = 0.3, 0.3853
"""A normal law holds 30% of its mass within ± 0.3853 of its standard deviation."""


@dataclass(frozen=True, eq=False)
class Evidence(ABC):
    """Records of both windows, their sums by cuboid, and how a cell is judged by them."""

    windows: tuple[Records, ...]
    sizes: tuple[int, ...]
    depth: int
    tables: Tables

    @abstractmethod
    def judge(self, cuboid: Cuboid, cells: Cells) -> tuple[Floats, Floats]:
        """Effect and variance of each cell; variance is infinite where nothing can be said."""

    def without(self, chosen: Sequence[tuple[Cuboid, tuple[int, ...]]]) -> Evidence:
        """The evidence of all records outside these cells."""
        inside = []
        outside = []
        for window in self.windows:
            held = np.zeros(len(window), np.bool_)
            for cuboid, cell in chosen:
                held |= window.inside(cuboid, cell)
            inside.append(window.take(np.flatnonzero(held)))
            outside.append(window.take(~held))
        gone = tables(inside, self.sizes, self.summed)
        return replace(self, windows=tuple(outside), tables=minus(self.tables, gone))

    @abstractmethod
    def shifted(self, effect: float) -> Evidence:
        """The evidence left when everything has had this effect."""

    def finer(self) -> Evidence | None:
        """The evidence with an eye for smaller causes, where it has one."""
        return None

    @property
    def summed(self) -> int:
        """The depth to which all cells are summed."""
        return max(len(cuboid) for cuboid in self.tables)


@dataclass(frozen=True, eq=False)
class Means(Evidence):
    """Rows before and after; sums are n, Σr before, n, Σr, Σr² after, where r is a row's value less what golden's mix explains.

    `spread[k]`, shape (values,), is the variance of r by value of attribute k; `variance` is that of all rows.
    """

    spread: tuple[Floats, ...]
    variance: float

    def judge(self, cuboid: Cuboid, cells: Cells) -> tuple[Floats, Floats]:
        """Difference of means. Before, one row at the expected value is added, so that a value unseen has an expectation, weakly held."""
        n0, s0, n1, s1, q1 = cells.sums
        expected = np.full(n1.shape, self.variance)
        for attribute, values in zip(cuboid, located(cells.ids, cuboid, self.sizes), strict=True):
            expected *= self.spread[attribute][values] / self.variance
        seen = np.maximum(n1, 1.0)
        after = s1 / seen
        own = np.maximum(q1 / seen - after**2, expected)
        noise = expected / (n0 + 1.0) + own / seen
        return after - s0 / (n0 + 1.0), np.where(n1 >= FEW, noise, np.inf)

    def shifted(self, effect: float) -> Means:
        """Every row after, less `effect`."""
        moved = {}
        for cuboid, cells in self.tables.items():
            n0, s0, n1, s1, q1 = cells.sums
            sums = np.stack([n0, s0, n1, s1 - effect * n1, q1 - 2 * effect * s1 + effect**2 * n1])
            moved[cuboid] = Cells(cells.ids, sums)
        before, after = self.windows
        count, residual, _ = after.weights
        assert residual is not None
        residual = residual - effect
        return replace(self, tables=moved, windows=(before, Records(after.codes, (count, residual, residual**2))))


@dataclass(frozen=True, eq=False)
class Totals(Evidence):
    """Counts (sums are n before, n after) or sums of a column (Σy, Σy² before, Σy, Σy² after), whose noise is compound Poisson's."""

    def judge(self, cuboid: Cuboid, cells: Cells) -> tuple[Floats, Floats]:  # noqa: ARG002  # the same for every cuboid
        """Relative change of totals."""
        s0, q0, s1, q1 = _four(cells.sums)
        size = (np.abs(s0) + np.abs(s1)) / 2
        held = size > 0
        scale = np.where(held, size, 1.0)
        return np.where(held, (s1 - s0) / scale, 0.0), np.where(held, (q0 + q1) / scale**2, np.inf)

    def shifted(self, effect: float) -> Totals:
        """Every total after, divided by the ratio."""
        factors = ratio_of(effect) ** -np.array([0.0, 0.0, 1.0, 2.0])
        moved = {c: Cells(cells.ids, _four(cells.sums) * factors[:, None]) for c, cells in self.tables.items()}
        windows = []
        for window, powers in zip(self.windows, (factors[:2], factors[2:]), strict=True):
            weights = [np.ones(len(window)) if w is None else w for w in window.weights]
            both = weights if len(weights) == 2 else weights * 2
            windows.append(Records(window.codes, tuple(w * f for w, f in zip(both, powers, strict=True))))
        return replace(self, windows=tuple(windows), tables=moved)


def _four(sums: Floats) -> Floats:
    """Σy, Σy² before, Σy, Σy² after; a count is its own sum of squares."""
    return sums if len(sums) == 4 else sums[[0, 0, 1, 1]]


@dataclass(frozen=True, eq=False)
class Leaves(Evidence):
    """Leaves with a real and a predicted value; sums are Σ d/v and Σ 1/v, where d is a leaf's relative change and v its variance.

    `change`, `noise`, shape (n,), are d and its standard deviation by the forecast alone.
    """

    change: Floats
    noise: Floats
    floor: float
    """What counts as noise at least: unevenness among the children of the causes that are to be found."""

    def judge(self, cuboid: Cuboid, cells: Cells) -> tuple[Floats, Floats]:  # noqa: ARG002
        """The mean change of a cell's leaves, weighted by what each can say."""
        signal, known = cells.sums
        held = known > 1e-12
        known = np.where(held, known, 1.0)
        return np.where(held, signal / known, 0.0), np.where(held, 1 / known, np.inf)

    def without(self, chosen: Sequence[tuple[Cuboid, tuple[int, ...]]]) -> Leaves:
        """All other leaves, weighed anew: what is left may be smaller than what was taken."""
        held = np.zeros(len(self.windows[0]), np.bool_)
        for cuboid, cell in chosen:
            held |= self.windows[0].inside(cuboid, cell)
        codes = tuple(c[~held] for c in self.windows[0].codes)
        return leaves_of(codes, self.sizes, self.depth, self.change[~held], self.noise[~held], self.floor)

    def shifted(self, effect: float) -> Leaves:
        """Every leaf's change, less `effect`."""
        return leaves_of(self.windows[0].codes, self.sizes, self.depth, self.change - effect, self.noise, self.floor)

    def finer(self) -> Leaves | None:
        """The same, weighed for smaller causes than those that were found already."""
        again = leaves_of(self.windows[0].codes, self.sizes, self.depth, self.change, self.noise)
        return again if again.floor < self.floor / 2 else None


def ratio_of(effect: float) -> float:
    """After over before, from a relative change."""
    effect = min(max(effect, -1.999), 1.999)
    return (2 + effect) / (2 - effect)


def leaves_of(
    codes: tuple[Codes, ...],
    sizes: Sequence[int],
    depth: int,
    change: Floats,
    noise: Floats,
    floor: float | None = None,
) -> Leaves:
    """Evidence from leaves. Unevenness among a cause's children counts as noise, or it would be told as causes of its own."""
    if floor is None:
        strong = np.abs(change)[np.abs(change) > 4 * noise]
        floor = UNEVEN * float(np.quantile(strong, 0.5)) if len(strong) else 0.0
    known = 1 / (noise**2 + floor**2)
    window = Records(codes, (change * known, known))
    found = tables([window], sizes, summed(len(change), sizes, depth))
    return Leaves((window,), tuple(sizes), depth, found, change, noise, floor)


def leaf_noise(change: Floats, size: Floats) -> tuple[Floats, float]:
    """Each leaf's standard deviation, by the size of leaves like it, shape (n,), and where most leaves lie.

    The shortest interval with 30% of the leaves is theirs whom nothing happened to, as long as no larger group moved alike.
    """
    if not len(change):
        return np.zeros(0), 0.0
    order = np.argsort(size, kind="stable")
    bins = [b for b in np.array_split(order, max(1, min(12, len(order) // 200))) if len(b)]
    middles = np.array([float(np.log(np.median(size[b]))) for b in bins])
    spreads = np.array([max(_spread(change[b]), 1e-3) for b in bins])
    noise = np.exp(np.interp(np.log(size), middles, np.log(spreads)))
    return noise, _shortest(change)[0]


def _spread(values: Floats) -> float:
    """Standard deviation of the undisturbed: from the shortest interval, then from all that lie within three of what was found."""
    middle, spread = _shortest(values)
    for _ in range(3):
        apart = np.abs(values - middle)
        spread = float(np.median(apart[apart <= 3 * spread])) / _MEDIAN_Z
    return spread


def _shortest(values: Floats) -> tuple[float, float]:
    """Middle of the shortest interval that holds 30% of the values, and the standard deviation that it means."""
    ranked = np.sort(values)
    span = max(int(np.ceil(_SHORTEST * len(ranked))), 2)
    if len(ranked) < span:
        return float(ranked.mean()), 0.0
    widths = ranked[span - 1 :] - ranked[: len(ranked) - span + 1]
    at = int(np.argmin(widths))
    return float(ranked[at] + widths[at] / 2), float(widths[at] / 2 / _SHORTEST_Z)
