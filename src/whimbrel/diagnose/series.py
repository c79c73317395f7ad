"""Rows that come again at even times: whose they are, and which was so many steps before.

In: times, and the fields that may say whose a row is. Out: a `Series`, where there is one. `case` asks, once a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, combinations

import numpy as np

from whimbrel.model.rows import Bools, Ints

EVEN, NEAR = 0.95, 0.25
"""The share of a series' gaps that must be whole multiples of its step, and how far from one they may lie, in steps."""
_ROWS = 6_000
"""Golden's first rows, which tell whether a series is even."""
MOST_STEPS, MOST_KEYS, MOST_FIELDS = 800, 3, 12
"""Steps back that are looked at, half of golden at most; fields that make up a key, and that are tried for it."""


@dataclass(frozen=True, eq=False)
class Series:
    """Rows by whose they are and when."""

    key: Ints
    """Whose each row is, shape (n,)."""
    every: int
    """Microseconds from one row of a key to the next."""
    steps: Ints
    """How many steps back may be asked for, shape (steps,)."""
    at: Ints
    """Key and time as one number, shape (n,)."""
    order: Ints

    def before(self, rows: Ints, steps: Ints) -> Ints:
        """The rows so many steps before these, shape (rows, steps); -1 where the log has none."""
        ordered = self.at[self.order]
        wanted = self.at[rows][:, None] - steps * self.every
        place = np.searchsorted(ordered, wanted).clip(1, ordered.size - 1)
        place -= wanted - ordered[place - 1] < ordered[place] - wanted
        near = np.abs(ordered[place] - wanted) <= self.every // 4
        return np.where(near, self.order[place], -1)


def series_of(ts: Ints, golden: Bools, fields: Sequence[Ints]) -> Series | None:
    """The rows as series of even steps, by the fewest fields (codes of shape (n,)) that make them so; None where none do."""
    rows = np.flatnonzero(golden)
    rows = rows[np.argsort(ts[rows], kind="stable")][:_ROWS]
    used, even, every = _key(ts[rows], [codes[rows] for codes in fields[:MOST_FIELDS]])
    long = int(np.ptp(ts[golden]))
    if even < EVEN or long < 4 * every:
        return None
    key = reduce(_finer, [fields[i] for i in used], np.zeros(ts.size, np.int64))
    steps = int(min(MOST_STEPS, long // (2 * every)))
    at = key * (int(np.ptp(ts)) + (steps + 2) * every) + ts - int(ts.min())
    return Series(key, every, np.arange(steps + 1), at, np.argsort(at, kind="stable"))


def _finer(key: Ints, codes: Ints) -> Ints:
    out: Ints = np.unique(key * (int(codes.max()) + 2) + codes + 1, return_inverse=True)[1]
    return out


def _key(ts: Ints, fields: Sequence[Ints]) -> tuple[tuple[int, ...], float, int]:
    """Which of the fields make these rows most even, the fewest that do and three at most: how even, and by which step."""
    nobodys = np.zeros(ts.size, np.int64)
    best: tuple[tuple[int, ...], float, int] = (), *_even(ts, nobodys)
    for count in range(1, MOST_KEYS + 1):
        if best[1] >= EVEN:
            break
        # Two fields may tell apart what neither does; a third is sought beside the best two alone.
        sets = (
            combinations(range(len(fields)), count)
            if count < MOST_KEYS
            else ((*best[0], i) for i in range(len(fields)))
        )
        tried = ((some, *_even(ts, reduce(_finer, [fields[i] for i in some], nobodys))) for some in sets)
        best = max(chain([best], tried), key=lambda one: one[1])
    return best


def _even(ts: Ints, key: Ints) -> tuple[float, int]:
    """The share of gaps between rows of a key that are whole multiples of the shortest usual one, and that, in microseconds."""
    order = np.lexsort((ts, key))
    gaps = np.diff(ts[order])[np.diff(key[order]) == 0]
    if gaps.size < 0.3 * ts.size or not (gaps > 0).any():
        return 0.0, 1
    short = float(np.quantile(gaps[gaps > 0], 0.2))
    every = float(np.median(gaps[np.abs(gaps - short) <= 0.2 * short]))
    times = gaps / every
    return float(np.mean((np.abs(times - np.round(times)) <= NEAR) & (times > 0.5))), int(every)
