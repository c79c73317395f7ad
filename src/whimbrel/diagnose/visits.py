"""Who comes, stays for a while and goes: patients, sessions, jobs. Their rows are alike, and others stand there the next day.

In: times and the codes of fields of many values. Out: the visit that each row belongs to. What rows of one visit share, nobody else foretells:
as witnesses of what all have in common they count for less than as many strangers' (`scan`), and what a few of them show is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from whimbrel.model.rows import Bools, Floats, Ints

_ROWS = 4.0
"""Rows that a row's visit must have on average."""
_NEW = 0.1
"""The share of the rows of golden's later half whose visit began in it."""
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


def _side_by_side(codes: Ints) -> float:
    """How many different ones rows that follow each other have, in the middle (the inverse Simpson index)."""
    stretches = codes[: codes.size // _STRETCH * _STRETCH].reshape(-1, _STRETCH)
    out: list[Floats] = []
    for one in stretches[:: max(len(stretches) // 200, 1)]:
        counts = np.unique(one, return_counts=True)[1].astype(float)
        out.append(counts.sum() ** 2 / (counts**2).sum())
    return float(np.median(out))
