"""When did it start: the one point of a series that best parts it into a before and an after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.model.rows import Floats, Ints
from whimbrel.stats.logistic import logistic


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
SURER = 4.0
"""Log-likelihood by which what was seen before a point must be surer to move the change there."""
ALREADY, MARKED = 0.5, 0.25
"""Chances that what is looked at had begun before, and that it began with something that was noted down; else anywhere."""
HARDLY = 0.95
"""The part of the greatest chance that is hardly worse than it."""
SPARED = 0.02
"""The share of points that may be as before although they lie after: a single one of them proves nothing."""
TAIL = 1 / 128
"""The part of either end that counts as the end."""
LAST = 5
"""Points at the end that are too few for a change."""


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


def value_onset(values: Floats, known: Floats, times: Floats | Ints, marks: Ints | None = None) -> Onset | None:
    """The likeliest point from which on values are drawn as `known` are not, by likelihood ratio; None where none rose.

    How much a value says for the new is learned from the values themselves, so that neither long tails nor what is nought nearly
    always mislead; and learned twice: from the point at which the mean rose, by normal likelihood, then from the likeliest one.
    Of points that are nearly as likely it is the one that is least often wrong by more than a unit of time.

    Args:
        values: one at each point, shape (n,).
        known: values that are known to lie before, shape (m,).
        times: when, in units within which an onset is as good as right, shape (n,), none before the last.
        marks: points at which something was noted down that may have brought it.
    """
    values, known = np.asarray(values, np.float64), np.asarray(known, np.float64)
    end = max(values.size - LAST, 1)
    rise = np.maximum(_from(values - known.mean()), 0.0) ** 2 / np.arange(values.size, 0, -1)
    at = int(rise[:end].argmax())
    if not rise[at] > 0:
        return None
    for _ in range(2):
        learned, gains = at, _from(_ratios(values, known, at))[:end]
        at = int(gains.argmax())
        if at == learned:
            break
    chance = gains + np.log(_prior(end, marks))
    at = _surest(chance, np.asarray(times, np.float64)[:end])
    near = np.flatnonzero(gains >= min(gains.max() - CLOSE, gains[at]))
    before = np.concatenate([known, values[:at]])
    return Onset(at, int(near[0]), int(near[-1]), float(gains[at]), float(before.mean()), float(values[at:].mean()))


def _prior(n: int, marks: Ints | None) -> Floats:
    """How likely each of n points is before any value is seen, shape (n,)."""
    marks = np.unique(marks[marks < n]) if marks is not None else np.zeros(0, dtype=np.int64)
    out = np.full(n, (1 - ALREADY - MARKED * bool(marks.size)) / n)
    out[marks] += MARKED / max(marks.size, 1)
    out[0] += ALREADY
    return out


def _surest(chance: Floats, times: Floats) -> int:
    """The point least likely to be wrong by more than a unit of time, of log chances; the likeliest of those that are hardly worse.

    The first is its own case: that all was so before is said where it is likelier than not.
    """
    sums = np.append(0.0, np.cumsum(np.exp(chance - chance.max())))
    if sums[1] > 0.5 * sums[-1]:
        return 0
    near = sums[np.searchsorted(times, times + 1.0, "right")] - sums[np.searchsorted(times, times - 1.0)]
    return int(np.where(near >= HARDLY * near.max(), chance, -np.inf).argmax())


def _from(values: Floats) -> Floats:
    """Sums of what lies at each point and after it."""
    return np.cumsum(values[::-1])[::-1]


def _ratios(values: Floats, known: Floats, at: int) -> Floats:
    """The log likelihood of each value among those from `at` on, over that among those before and known, shape (n,).

    By logistic regression on the value, cut at the ends of either side (a tail counts as its end): a ratio of more freedom would learn
    the hour of the day by heart from what is left of it in the values. Half a row of doubt at each end and on either side, so
    that "never seen" is not "impossible".
    """
    before, after = np.concatenate([known, values[:at]]), values[at:]
    ends = np.quantile(before, [TAIL, 1 - TAIL]), np.quantile(after, [TAIL, 1 - TAIL])
    low, high = min(ends[0][0], ends[1][0]), max(ends[0][1], ends[1][1])
    if not high > low:
        return np.zeros(values.size)
    design = np.ones((before.size + after.size + 4, 2))
    design[:, 1] = (np.clip(np.concatenate([before, after, [low, high, low, high]]), low, high) - low) / (high - low)
    young = np.repeat([0.0, 1.0, 0.0, 1.0], [before.size, after.size, 2, 2])
    weight = np.repeat([1.0, 0.5], [before.size + after.size, 4])
    prior = float(np.log(after.size / before.size))
    beta, _ = logistic(design, young, weight, np.array([prior, 0.0]))
    own = slice(known.size, known.size + values.size)  # the values follow what is known, in their order
    odds = np.exp(design[own] @ beta - prior)
    out: Floats = np.log((1 - SPARED) * odds + SPARED)
    return out


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
