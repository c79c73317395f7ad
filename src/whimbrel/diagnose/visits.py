"""Who comes, stays for a while and goes (patients, sessions, jobs), and what is asked about again and again (products, machines).

In: times and the codes of fields of many values. Out: the visit that each row belongs to, or the spell of the thing that it is about. Rows of
one visit are alike, and others stand there the next day; a product is sold in all shops, and its offer is another one each week. What such
rows share, nobody else foretells: as witnesses of what all have in common they count for less than as many strangers' (`scan`), and what a
few of them show is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from whimbrel.model.rows import Bools, Floats, Ints

_ROWS = 4.0
"""Rows that a row's visit must have on average."""
_NEW = 0.1
"""The share of the rows of golden's later half whose visit began in it."""
_HALF_DAY_US, _STRETCHES = 43_200_000_000, 3
_SHARED, _CHANGED = 0.5, 8
"""The share of a field's changes that all rows of one key and stretch of time must have in common; keys in which it changes."""
_AT_ONCE, _STRETCH = 12.0, 50
"""Visits that go on side by side, those with most of the rows counted for less, among so many rows that follow each other: a date does not."""


def visits_of(ts: Ints, golden: Bools, fields: Iterable[Ints]) -> Ints | None:
    """The visit of each row, shape (n,), negative where it has none: by the field that makes the longest ones; None where there are none."""
    rows = np.flatnonzero(golden)
    rows = rows[np.argsort(ts[rows], kind="stable")]
    best: tuple[float, Ints] | None = None
    for codes in fields:
        here = codes[rows]
        here = here[here >= 0]
        if 2 * here.size < rows.size or here.size < 4 * _STRETCH:
            continue
        counts = np.bincount(here).astype(float)
        length = float((counts**2).sum() / counts.sum())
        first, later = np.array_split(here, 2)
        new = np.mean(~np.isin(later, first))
        if length >= _ROWS and new >= _NEW and _side_by_side(here) >= _AT_ONCE and (best is None or length > best[0]):
            best = (length, codes)
    return best[1] if best is not None else None


@dataclass(frozen=True, eq=False)
class Things:
    """What golden's rows are about, and in which of the stretches of time that are as long as the window, codes of shape (golden rows,) each."""

    key: Ints
    stretch: Ints


def things_of(ts: Ints, golden: Bools, fields: Mapping[str, Ints], states: Mapping[str, Floats]) -> Things | None:
    """The field whose values have states: inputs that all rows about one of them share for a while, and that are others later.

    `states` are the inputs, as numbers or codes, shape (n,). None where there is no such field: what is fixed for good tells no rows apart.
    """
    rows = np.flatnonzero(golden)
    lasts = int(np.ptp(ts[~golden])) if not golden.all() else 0
    whole = int(np.ptp(ts[rows]))
    stretch = (ts[rows] - ts[rows].min()) // max(min(max(lasts, _HALF_DAY_US), whole // _STRETCHES), 1)
    best, most = None, _SHARED
    for path, codes in fields.items():
        key = codes[rows]
        there = key >= 0
        if (
            2 * there.sum() < rows.size
            or _side_by_side(key[there][np.argsort(ts[rows][there], kind="stable")]) < _AT_ONCE
        ):
            continue
        cluster = np.unique(key * (stretch.max() + 1) + stretch, return_inverse=True)[1]
        counts = np.bincount(cluster[there]).astype(float)
        if float((counts**2).sum() / max(counts.sum(), 1.0)) < _ROWS:
            continue
        for name, values in states.items():
            effect = 0.0 if name == path else _effect(values[rows], key, stretch, cluster, there)
            if effect > most:
                best, most = Things(np.where(there, key, -1), stretch), effect
    return best


def _effect(values: Floats, key: Ints, stretch: Ints, cluster: Ints, there: Bools) -> float:
    """The share of what a field varies by, beyond each key's own mean and what the time does to all, that rows of one key and stretch have in common."""
    known = there & np.isfinite(values)
    if known.sum() < 2 * _STRETCH:
        return 0.0
    left = values[known] - _means(values[known], key[known])
    left = left - _means(left, stretch[known])
    whole = float((left**2).sum())
    common = _means(left, cluster[known])
    changed = np.unique(key[known][np.abs(common) > 1e-9 * (np.abs(values[known]) + 1)]).size
    if whole < 1e-9 or changed < _CHANGED:
        return 0.0
    chance = np.unique(cluster[known]).size / known.sum()  # what means of so few rows share by luck
    return float(((common**2).sum() / whole - chance) / max(1 - chance, 1e-9))


def _means(values: Floats, by: Ints) -> Floats:
    """Each row's mean of its group, shape (rows,)."""
    sums, counts = np.bincount(by, weights=values), np.bincount(by)
    out: Floats = (sums / np.maximum(counts, 1))[by]
    return out


def _side_by_side(codes: Ints) -> float:
    """How many different ones rows that follow each other have, in the middle (the inverse Simpson index)."""
    stretches = codes[: codes.size // _STRETCH * _STRETCH].reshape(-1, _STRETCH)
    out: list[Floats] = []
    for one in stretches[:: max(len(stretches) // 200, 1)]:
        counts = np.unique(one, return_counts=True)[1].astype(float)
        out.append(counts.sum() ** 2 / (counts**2).sum())
    return float(np.median(out))
