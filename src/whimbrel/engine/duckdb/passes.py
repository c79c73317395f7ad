"""A profile of thousands of columns in several passes of some hundred each: a batch of rows then stays within memory.

In: a binning. Out: binnings of some of its columns, and their profiles joined side by side again. Only `counted.py` may call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from whimbrel.model.profile import Binning, Cells, Picks, Profile

MOST_COLUMNS = 256
"""Columns of one pass: 131,072 rows of them, which is what DuckDB hands over at once, take 270 MB."""


def parted(binning: Binning) -> list[Binning]:
    """The columns in parts of at most `MOST_COLUMNS`, each with the dimensions that it lacks behind them."""
    if len(binning.columns) <= MOST_COLUMNS:
        return [binning]
    parts = []
    for start in range(0, len(binning.columns), MOST_COLUMNS):
        own = binning.columns[start : start + MOST_COLUMNS]
        here = {bins.column for bins in own}
        lacking = tuple(binning.columns[binning.index[name]] for name in binning.dimensions if name not in here)
        parts.append(Binning(own + lacking, binning.dimensions))
    return parts


def side_by_side(binning: Binning, passes: Sequence[Profile]) -> Profile:
    """One profile of all columns, from those of the parts, of the same rows each; in the order of `parted`."""
    own = [min(MOST_COLUMNS, len(binning.columns) - i * MOST_COLUMNS) for i in range(len(passes))]

    def joined(table: Callable[[Profile], Cells], starts: Callable[[Binning], tuple[int, ...]]) -> Cells:
        counts = [table(part).counts[:, 1 : starts(part.binning)[n]] for part, n in zip(passes, own, strict=True)]
        first = table(passes[0])
        return Cells(first.keys, np.concatenate([first.counts[:, :1], *counts], axis=1))

    picks = tuple(
        (rows[0][0], tuple(value for (_, values), n in zip(rows, own, strict=True) for value in values[:n]))
        for rows in zip(*(part.picks.rows for part in passes), strict=True)
    )
    return Profile(
        binning=binning,
        days=joined(lambda part: part.days, lambda bins: bins.starts),
        hours=joined(lambda part: part.hours, lambda bins: bins.group_starts),
        slices=joined(lambda part: part.slices, lambda bins: bins.starts),
        moments=tuple(one for part, n in zip(passes, own, strict=True) for one in part.moments[:n]),
        distinct=tuple(one for part, n in zip(passes, own, strict=True) for one in part.distinct[:n]),
        picks=Picks(picks),
        first=passes[0].first,
        last=passes[0].last,
    )
