"""When did it start: the one point of a series that best parts it into a before and an after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.model.rows import Floats, Ints


@dataclass(frozen=True, slots=True)
class Onset:
    """The change lies before point `at` of the series; `low` to `high` are the points that are nearly as likely.

    `gain` is the log-likelihood won by the change over none, `before` and `after` the level on each side.
    """

    at: int
    low: int
    high: int
    gain: float
    before: float
    after: float


CLOSE = 1.92
"""Log-likelihood within which a point is nearly as likely: half of chi-square's 95% point, one degree of freedom."""


def share_onset(hits: Ints | Floats, totals: Ints | Floats, *, prior: tuple[float, float] = (0.0, 0.0)) -> Onset | None:
    """The likeliest point at which a share changed, by binomial likelihood; None where there is no change at all.

    Args:
        hits: count at each point, shape (n,).
        totals: rows at each point, shape (n,).
        prior: hits and rows that are known to lie before the series (golden's), counted to the first stretch.
    """
    hits = np.asarray(hits, np.float64)
    totals = np.asarray(totals, np.float64)
    before_hits, before_rows = prior[0] + _before(hits), prior[1] + _before(totals)
    all_hits, all_rows = prior[0] + hits.sum(), prior[1] + totals.sum()
    likely = _binomial(before_hits, before_rows) + _binomial(all_hits - before_hits, all_rows - before_rows)
    gains = likely - _binomial(all_hits, all_rows)
    return _best(gains, before_hits, before_rows, all_hits, all_rows)


def mean_onset(sums: Floats, squares: Floats, totals: Ints | Floats) -> Onset | None:
    """The likeliest point at which a mean changed, by normal likelihood; None where there is no change at all.

    Args:
        sums: sum of the values at each point, shape (n,).
        squares: sum of their squares.
        totals: how many they are.
    """
    totals = np.asarray(totals, np.float64)
    n, total, square = totals.sum(), sums.sum(), squares.sum()
    before_sum, before_n = _before(sums), _before(totals)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.where(before_n > 0, before_sum**2 / before_n, 0.0)
        between += np.where(n - before_n > 0, (total - before_sum) ** 2 / (n - before_n), 0.0)
    whole = square - total**2 / max(n, 1)
    if not whole > 0:
        return None
    within = np.maximum(square - between, whole * 1e-12)
    return _best(n / 2 * np.log(whole / within), before_sum, before_n, total, n)


def _before(values: Floats) -> Floats:
    """Sums of what lies before each point."""
    return np.concatenate([[0.0], np.cumsum(values)[:-1]])


def _binomial(hits: Floats | float, rows: Floats | float) -> Floats:
    """The greatest log-likelihood of these hits among these rows, without its constant."""
    hits, rows = np.asarray(hits, np.float64), np.asarray(rows, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        yes = np.where(hits > 0, hits * np.log(hits / rows), 0.0)
        no = np.where(rows - hits > 0, (rows - hits) * np.log1p(-hits / rows), 0.0)
    found: Floats = yes + no
    return found


def _best(gains: Floats, before: Floats, before_n: Floats, total: float, n: float) -> Onset | None:
    gains = np.where((before_n > 0) & (before_n < n), gains, 0.0)
    if not len(gains) or not gains.max() > 1e-9:
        return None
    at = int(gains.argmax())
    near = np.flatnonzero(gains >= gains[at] - CLOSE)
    return Onset(
        at=at,
        low=int(near[0]),
        high=int(near[-1]),
        gain=float(gains[at]),
        before=float(before[at] / before_n[at]),
        after=float((total - before[at]) / (n - before_n[at])),
    )
