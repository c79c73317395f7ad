"""The shape of a change, in words: a unit, a constant, a permutation, a rename, a bound.

In: arrays of one field before and after, or of expected and recorded values. Out: a named shape or None. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.model.rows import Bools, Floats, Ints

_MEASURED = 50.0
"""The size from which on whole numbers may be a measure that was rounded."""
_GRID = np.linspace(0.04, 0.96, 24)
_TURNED = 0.3
"""The part of the rows that must have another code before shares that changed places say that codes did."""
_DUE = 8
"""Rows of a value that were to be expected where it is said to have gone."""

_UNITS: tuple[tuple[float, float, str], ...] = (
    (100.0, 0.0, "100 times"), (1000.0, 0.0, "1000 times"), (10.0, 0.0, "10 times"), (1e6, 0.0, "a million times"),
    (60.0, 0.0, "60 times (minutes and seconds, or hours and minutes)"), (3600.0, 0.0, "3600 times (hours and seconds)"),
    (24.0, 0.0, "24 times (days and hours)"), (86400.0, 0.0, "86400 times (days and seconds)"),
    (1.609344, 0.0, "1.609 times (miles and kilometres)"), (2.20462, 0.0, "2.205 times (kilograms and pounds)"),
    (3.28084, 0.0, "3.281 times (metres and feet)"), (2.54, 0.0, "2.54 times (inches and centimetres)"),
    (1.852, 0.0, "1.852 times (knots and km/h)"), (3.6, 0.0, "3.6 times (m/s and km/h)"),
    (1.8, 32.0, "Celsius turned into Fahrenheit"), (1.0, 273.15, "Celsius turned into kelvin"), (1024.0, 0.0, "1024 times"),
    (-1.0, 0.0, "sign flipped"),
)  # fmt: skip
"""Conversions that people really mix up: factor, offset, words. Each is tried both ways."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The window's values are golden's times `factor` plus `offset`, over the whole range of quantiles."""

    factor: float
    offset: float
    words: str
    known: bool


def conversion_of(before: Floats, after: Floats) -> Conversion | None:
    """The unit change between two samples: every quantile times one factor, plus one offset.

    A known conversion is taken where it fits as well as samples of this size can; any other factor must be far from
    one and fit tightly, since prices rise and cities grow.
    """
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if before.size < 40 or after.size < 25:
        return None
    p, q = np.quantile(before, _GRID), np.quantile(after, _GRID)
    spread = float(p[-1] - p[0])
    if spread <= 0 or q[-1] - q[0] <= 0 or np.unique(p).size < 5:
        return None
    counts = _counted(before) and _counted(after)
    # Sampling noise of a quantile, in units of the spread: about half its standard error for a smooth density.
    noise = 1.2 / np.sqrt(min(before.size, after.size))
    plain = _misfit(p, q)
    best: tuple[float, Conversion] | None = None
    for factor, offset, words in _UNITS:
        for a, b, said in ((factor, offset, words), (1 / factor, -offset / factor, _reverse(words))):
            misfit = _misfit(np.sort(a * p + b), q)
            if not 0.7 < abs(a) * spread / float(q[-1] - q[0]) < 1.4 or (counts and max(abs(a), 1 / abs(a)) % 1):
                continue
            fits = misfit < 0.06 + noise and misfit < 0.35 * plain and (offset != 0 or _at_every_size(a, p, q))
            if fits and (best is None or misfit < best[0]):
                best = (misfit, Conversion(a, b, said, True))
    if best:
        return best[1]
    return _free_factor(p, q, noise)


def _counted(values: Floats) -> bool:
    """Whether they are small whole numbers: so many of something, which is measured in no unit."""
    return float(np.median(np.abs(values))) < _MEASURED and bool(multiples_of(1.0, values).all())


def undone(before: Floats, after: Floats) -> Conversion | None:
    """The known conversion after whose undoing the values are golden's own again, one by one, which as they came they are not.

    It asks nothing of distributions, so that another mix, or a field that wobbles, does not hide a unit. Golden's values must be
    few enough that others seldom meet them by chance.
    """
    own, after = np.unique(before[np.isfinite(before)]), after[np.isfinite(after)]
    if own.size < 5 or np.unique(after).size < 12:
        return None
    step = next((10.0**-places for places in range(7) if np.mean(multiples_of(10.0**-places, after)) > 0.95), 0.0)
    alike = 1e-6 * float(np.abs(own).max())
    for factor, offset, words in _UNITS:
        if factor < 0:  # what was above nought and is below it may be winter
            continue
        for a, b, said in ((factor, offset, words), (1 / factor, -offset / factor, _reverse(words))):
            for near in (alike, alike + 0.51 * step / a):  # as it was turned, and rounded afterwards
                if _again(own, after, a, b, near):
                    return Conversion(a, b, said, True)
    return None


def _again(own: Floats, after: Floats, factor: float, offset: float, near: float) -> bool:
    """Whether most values lie near golden's own once a conversion is undone, which chance does not do, and few as they are."""
    back = (after - offset) / factor
    reached = own[(own >= back.min() - near) & (own <= back.max() + near)]
    covered = 2 * near * reached.size / max(float(np.ptp(back)), 1e-12)
    return covered < 0.3 and _share(own, back, near) > 0.9 and _share(own, after, near * factor) < 0.3


def multiples_of(step: float, values: Floats) -> Bools:
    """Which values are multiples of a step, as closely as single precision says it."""
    out: Bools = np.abs(values - np.round(values / step) * step) <= 1e-6 * np.maximum(np.abs(values), step)
    return out


def _share(own: Floats, values: Floats, near: float) -> float:
    """The share of values that lie near one of a sorted few."""
    after = np.searchsorted(own, values).clip(0, own.size - 1)
    gap = np.minimum(np.abs(own[after] - values), np.abs(own[np.maximum(after - 1, 0)] - values))
    return float(np.mean(gap <= near))


def _at_every_size(factor: float, p: Floats, q: Floats) -> bool:
    """Whether small values are that many times as large as well: among amounts, a few large ones are nearly all of the spread."""
    if factor < 0 or min(p[0], q[0]) <= 0:
        return True
    before, after = np.log(p), np.log(q)
    return _misfit(before + np.log(factor), after) < 0.35 * _misfit(before, after)


def _misfit(fitted: Floats, seen: Floats) -> float:
    """Mean gap between two sets of quantiles, in units of what was seen to spread."""
    return float(np.mean(np.abs(fitted - seen)) / max(float(seen[-1] - seen[0]), 1e-12))


def _free_factor(p: Floats, q: Floats, noise: float) -> Conversion | None:
    positive = (np.abs(p) > 0.02 * np.abs(p).max()) & (p * q > 0)
    if positive.sum() < 12:
        return None
    ratios = np.log(np.abs(q[positive] / p[positive]))
    middle = float(np.median(ratios))
    if abs(middle) < np.log(1.4) or float(np.ptp(ratios)) > 0.12 + 2 * noise:
        return None
    factor = float(np.exp(middle))
    return Conversion(factor, 0.0, factor_words(factor), False)


def factor_words(factor: float) -> str:
    """A factor as a person says it."""
    if factor <= 0:
        return f"multiplied by {factor:.4g}"
    return f"{factor:.4g} times larger" if factor >= 1 else f"{1 / factor:.4g} times smaller"


def offset_of(before: Floats, after: Floats) -> float | None:
    """The constant that was added to every value, where every quantile moved by the same amount; None where not."""
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if before.size < 60 or after.size < 40:
        return None
    p, q = np.quantile(before, _GRID), np.quantile(after, _GRID)
    spread = float(p[-1] - p[0])
    if spread <= 0 or np.unique(p).size < 8:
        return None
    gaps = q - p
    middle = float(np.median(gaps))
    noise = 1.2 / np.sqrt(min(before.size, after.size))
    tight = float(np.mean(np.abs(gaps - middle))) < (0.015 + noise) * spread
    return middle if tight and abs(middle) > (0.12 + 3 * noise) * spread else None


def _reverse(words: str) -> str:
    if " turned into " in words:
        first, second = words.split(" turned into ")
        return f"{second} turned into {first}"
    return words if words == "sign flipped" else f"divided, {words}"


def renamed_to(before: Ints, after: Ints, size: int) -> dict[int, int]:
    """Known values that vanished while an unknown value took exactly their mass, of one or of several: {old code: new code}.

    `before` and `after` are codes of golden and window rows; counts decide, names do not.
    """
    b = np.bincount(before[before >= 0], minlength=size)
    a = np.bincount(after[after >= 0], minlength=size)
    if b.sum() < 40 or a.sum() < 40:
        return {}
    p, q = b / b.sum(), a / a.sum()
    out: dict[int, int] = {}
    for new in np.flatnonzero((b == 0) & (a >= 12)):
        for old in np.flatnonzero((p > 0) & (q < 0.2 * p)):
            noise = 3.5 * np.sqrt(p[old] * (1 - p[old]) * (1 / a.sum() + 1 / b.sum()))
            others = np.ones(size, bool)
            others[[old, new]] = False
            rest = float(np.abs(p - q)[others].sum()) / 2
            if abs(p[old] - q[old] - q[new]) < noise + 0.1 * p[old] and rest < 0.5 * q[new] + noise and old not in out:
                out[int(old)] = int(new)
    return out or _merged_into(b, a)


def _merged_into(b: Ints, a: Ints) -> dict[int, int]:
    """Several known values that never come any more while the one unknown value took about their mass, as `renamed_to`; of counts, shape (codes,).

    That they went together says more than how many there are, which comes and goes with those who ask.
    """
    p, q = b / b.sum(), a / a.sum()
    fresh = np.flatnonzero((b == 0) & (a >= 12))
    gone = np.flatnonzero((p * a.sum() >= _DUE) & (q < 0.02 * p))
    if fresh.size != 1 or gone.size < 2:
        return {}
    lost, gained = float(p[gone].sum()), float(q[fresh[0]])
    others = np.ones(b.size, bool)
    others[[*gone, *fresh]] = False
    rest = float(np.abs(p - q)[others].sum()) / 2
    told = 0.5 < gained / lost < 2.0 and rest < 0.5 * gained
    return dict.fromkeys(map(int, gone), int(fresh[0])) if told else {}


def permutation_of(
    before: Floats, after: Floats, counts: tuple[Ints, Ints], *, sudden: bool = False
) -> dict[int, int]:  # fmt: skip
    """A code book renumbered: {old code: new code} for the codes that moved; empty where none did.

    `before` and `after`, shape (codes, features), hold for each code the mean of other fields in units of their standard
    error under golden; `counts` the rows behind them. The identity must fit badly and another assignment well. Where other
    fields tell the codes apart as little as these, the shares say it alone if they changed places at once (`sudden`).
    """
    from scipy.optimize import linear_sum_assignment

    used = np.flatnonzero((counts[0] >= 8) & (counts[1] >= 8))
    if used.size < 2 or before.shape[1] == 0:
        return {}
    b, a = before[used], after[used]
    n_b, n_a = counts[0][used].astype(float), counts[1][used].astype(float)
    noise = 1 / n_b[:, None] + 1 / n_a[None, :]
    gaps = ((b[:, None, :] - a[None, :, :]) ** 2).sum(axis=2) / noise
    # The share of each code is a feature as well, on the scale of its own sampling error.
    p, q = n_b / n_b.sum(), n_a / n_a.sum()
    pooled = (p[:, None] + q[None, :]) / 2
    of_shares = (p[:, None] - q[None, :]) ** 2 / (pooled * (1 / n_b.sum() + 1 / n_a.sum()))
    gaps += of_shares
    rows, columns = linear_sum_assignment(gaps)
    moved = [(int(used[i]), int(used[j])) for i, j in zip(rows, columns, strict=True) if i != j]
    if not moved:
        return {}
    index = {int(c): k for k, c in enumerate(used)}
    stayed = sum(gaps[index[i], index[i]] for i, _ in moved)
    fitted = sum(gaps[index[i], index[j]] for i, j in moved)
    features = before.shape[1] + 1
    if stayed - fitted < 30 * len(moved):
        return {}
    told = fitted <= 0.25 * stayed and stayed >= 12 * features
    return dict(moved) if told or (sudden and _changed_places(of_shares, gaps - of_shares, p, q, rows, columns)) else {}


def _changed_places(
    of_shares: Floats, of_fields: Floats, p: Floats, q: Floats, rows: Ints, columns: Ints
) -> bool:  # fmt: skip
    """Whether codes have each other's shares, `p` before and `q` after, and much of the whole has another code than before.

    `of_shares` and `of_fields`, shape (codes, codes), are squared gaps in units of noise; the assignment is `rows` to `columns`.
    What other fields say must not be worse for it than if every code had stayed.
    """
    stayed, fitted = (float(np.trace(of_shares)), float(of_shares[rows, columns].sum()))
    against = float(of_fields[rows, columns].sum() - np.trace(of_fields))
    turned = float(np.abs(p - q).sum()) / 2
    return turned >= _TURNED and fitted <= 0.05 * stayed and against <= 0.1 * stayed


def difference_words(recorded: Floats, expected: Floats) -> str:
    """How recorded values differ from expected ones, in words; rows that agree are not passed in."""
    known = np.isfinite(recorded) & np.isfinite(expected)
    recorded, expected = recorded[known], expected[known]
    if recorded.size == 0:
        return "values are missing"
    values, counts = np.unique(recorded, return_counts=True)
    if counts.max() > 0.95 * recorded.size:
        several = np.unique(expected)
        instead = "many" if several.size > 2 else " or ".join(f"{value:g}" for value in several)
        return f"every value is {values[np.argmax(counts)]:g} where golden's code gives {instead}"
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = recorded / expected
    gaps = recorded - expected
    fair = np.isfinite(ratios) & (np.abs(expected) > 1e-9)
    if fair.sum() > 0.6 * recorded.size and _tight(ratios[fair]) and abs(np.median(ratios[fair]) - 1) > 1e-3:
        return f"values are {factor_words(float(np.median(ratios[fair])))}"
    if _tight(gaps, scale=float(np.std(expected)) or 1.0):
        return f"values are shifted by {np.median(gaps):+.4g}"
    whole = np.array_equal(recorded, np.round(recorded)) and not np.array_equal(expected, np.round(expected))
    if whole and np.quantile(np.abs(gaps), 0.95) <= 1:
        return "values are rounded to whole numbers"
    pairs = {(float(e), float(r)) for e, r in zip(np.round(expected, 9), np.round(recorded, 9), strict=True)}
    sources = {e for e, _ in pairs}
    gone_to = {r for _, r in pairs}
    if len(gone_to) > 1 and gone_to <= sources and len(sources) <= 60 and len(pairs) <= 1.1 * len(sources):
        return "codes are permuted: each value is consistently another one"
    top, bottom = recorded.max(), recorded.min()
    for bound, word in ((top, "above"), (bottom, "below")):
        if np.mean(recorded == bound) > 0.9:
            return f"values are cut at {bound:g}, everything {word} it is gone"
    slope, offset = np.polyfit(expected, recorded, 1) if np.ptp(expected) > 0 else (0.0, float(np.median(recorded)))
    left = float(np.std(recorded - slope * expected - offset))
    if left < 0.02 * (float(np.std(recorded)) or 1.0):
        return f"values are {slope:.4g} × what they should be, {offset:+.4g}"
    return f"values differ by {np.median(np.abs(gaps)):.3g} in the median"


def _tight(values: Floats, scale: float | None = None) -> bool:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return bool(high - low <= 0.02 * (scale if scale is not None else abs(middle)))
