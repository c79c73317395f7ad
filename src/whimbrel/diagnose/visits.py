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
_HOUR_US = 3_600_000_000
_HALF_DAY_US, _STRETCHES = 12 * _HOUR_US, 3
_OWN = 0.1
"""The part of a field's changes that must be other keys' at other times: a date, or the weather of all, is no key's state."""
_SHARED, _STATE, _CHANGED = 0.5, 0.25, 8
"""The share of one field's changes that all rows of one key and half-day must have in common, and of others then; keys in which it changes."""
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
    """What requests are about: codes of shape (n,), negative where it is unknown, and in which stretch of time golden's rows came, (golden rows,).

    `states` are the inputs that all rows about one share for a while, and that are others later; `fixed` those that never change.
    """

    key: Ints
    stretch: Ints
    states: frozenset[str]
    fixed: frozenset[str]


def things_of(ts: Ints, golden: Bools, fields: Mapping[str, Ints], inputs: Mapping[str, Floats]) -> Things | None:
    """The field whose values have states, by the inputs as numbers or codes, shape (n,). None where what is fixed for good is all they have.

    A state lasts half a day and more. Stretches are as long as the window: what changes once in it, golden has to show.
    """
    rows = np.flatnonzero(golden)
    since, lasts = ts[rows] - ts[rows].min(), int(np.ptp(ts[~golden])) if not golden.all() else 0
    half = since // _HALF_DAY_US
    stretch = since // max(min(max(lasts, _HALF_DAY_US), int(since.max()) // _STRETCHES), 1)
    best, most = None, _SHARED
    for path, codes in fields.items():
        key = codes[rows]
        there = key >= 0
        in_turn = key[there][np.argsort(ts[rows][there], kind="stable")]
        if 2 * in_turn.size < rows.size or in_turn.size < 4 * _STRETCH or _side_by_side(in_turn) < _AT_ONCE:
            continue
        cluster = np.unique(key * (half.max() + 1) + half, return_inverse=True)[1]
        counts = np.bincount(cluster[there]).astype(float)
        if float((counts**2).sum() / counts.sum()) < _ROWS:
            continue
        others = {name: values[rows] for name, values in inputs.items() if name != path}
        effects = {name: _effect(values, key, since // _HOUR_US, cluster, there) for name, values in others.items()}
        strongest = max((effect for effect in effects.values() if effect is not None), default=0.0)
        if strongest > most:
            states = frozenset(name for name, effect in effects.items() if effect is not None and effect > _STATE)
            fixed = frozenset(name for name, effect in effects.items() if effect is None) | {path}
            best, most = Things(codes, stretch, states, fixed), strongest
    return best


def _effect(values: Floats, key: Ints, hour: Ints, cluster: Ints, there: Bools) -> float | None:
    """The share of a field's changes, beyond what the time does to all, that rows of one key and half-day have in common; None where no key's changes."""
    known = there & np.isfinite(values)
    left = values[known] - _means(values[known], key[known])
    changes = float((left**2).sum())
    if known.sum() < 2 * _STRETCH or changes < 1e-9:
        return None
    left = left - _means(left, hour[known])
    whole, common = float((left**2).sum()), _means(left, cluster[known])
    changed = np.unique(key[known][np.abs(common) > 1e-9 * (np.abs(values[known]) + 1)]).size
    if whole < _OWN * changes or changed < _CHANGED:
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
