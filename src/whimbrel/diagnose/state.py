"""Fields that say when and where, not who: the weather, a rate, a delay board. Their rows are no witnesses of their own.

In: a `Case`, a field's values and a flag a row. Out: for how many hours on end the flag held at one place, in golden and in the
window. What the world did for five hours in golden it may do for fifteen.
"""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np

from whimbrel.diagnose.case import HOUR_US, Case
from whimbrel.model.rows import Bools, Floats, Ints

SHARED = 0.3
"""The share of its variance that a state may have among rows of one hour and place."""
ROUGHLY = 0.4
"""The same, for a field whose rows are no witnesses of a unit, or of what usually goes with it."""
LONGER = 3.0
"""Times golden's longest stretch that a stretch may last and still be the world's."""
EXACTLY = 0.02
"""The same, for what is looked up of the world: rows of one hour and place have as good as one value."""
NOTHING = 0.001
"""The part of a variance that days of their own would add to what the clock says."""
_CROWD, _FARTHER = 3, 1.5
_FEW, _SLIGHT = 20, 0.05
"""Rows that must have sisters of another slice to be held against; the part of a spread that is no difference."""
_TURNS = 100
"""Hours of golden that say how far a state goes within one."""
_OFTEN = 0.4
"""The share of golden's rows that must have others near enough to be compared with."""
NEARLY = 0.95
"""The share of rows in which the calendar may be another by some hours: the clock is somebody's."""
_SOON_US = 3 * HOUR_US


def places(case: Case, values: Floats, shared: float = SHARED, *, pairs: bool = False) -> Ints | None:
    """The place of each row, shape (n,), where rows of one hour and place share a value on golden; None for no state.

    `shared` is the share of the variance that may be left among such rows; where few share an hour, between a row and the next.

    A place is a value of whichever category, of who asks or of what is asked, makes the rows most alike, or everywhere; with `pairs`
    one of two of them (a fuel's price in a country), or who is one of many and comes again (a machine's days since it was serviced).
    """
    rows = np.flatnonzero(case.golden & np.isfinite(values))
    if rows.size < 40 or np.ptp(values[rows]) == 0:
        return None
    whole = float(np.var(values[rows]))
    best: tuple[float, Ints] | None = None
    everywhere = np.zeros(len(case.ts), dtype=np.int64)
    single = list(case.categories.values())
    both = (np.where((a < 0) | (b < 0), -1, a * (int(b.max(initial=0)) + 1) + b) for a, b in combinations(single, 2))
    finer = chain(both, case.many.values()) if pairs else ()
    for codes in chain((everywhere, *single), finer):
        left = _left(case, codes, rows, values[rows])
        if left is not None and (best is None or left < 0.9 * best[0]):
            best = (left, codes)
    return best[1] if best is not None and best[0] < shared * whole else None


def _left(case: Case, codes: Ints, rows: Ints, values: Floats) -> float | None:
    """The variance that is left among rows of one hour and place, or from a row to the next; None where too few are that near."""
    index = np.unique(_cells(case, codes)[rows], return_inverse=True)[1]
    counts = np.bincount(index).astype(float)
    crowded = counts[index] >= _CROWD
    if crowded.mean() < _OFTEN:
        return _from_row_to_row(case, codes, rows, values)
    means = np.bincount(index, weights=values) / counts
    spread = (values - means[index]) ** 2 * (counts / np.maximum(counts - 1, 1))[index]
    return float(spread[crowded].mean())


def _from_row_to_row(case: Case, codes: Ints, rows: Ints, values: Floats) -> float | None:
    """Half the mean squared difference between a row and the next of its place (von Neumann 1941), of those that follow soon."""
    order = np.lexsort((case.ts[rows], codes[rows]))
    soon = (np.diff(codes[rows][order]) == 0) & (np.diff(case.ts[rows][order]) <= _SOON_US)
    if soon.mean() < _OFTEN:
        return None
    return float((np.diff(values[order])[soon] ** 2).mean()) / 2


def of_the_time(case: Case, flags: Bools) -> bool:
    """Whether on golden a flag goes with the time alone: rows that follow each other have it or not together, whoever they are."""
    rows = np.flatnonzero(case.golden)
    values = flags[rows].astype(float)
    left = _from_row_to_row(case, np.zeros(len(case.ts), dtype=np.int64), rows, values)
    return left is not None and left <= SHARED * float(np.var(values))


def of_the_hour(case: Case, values: Floats) -> bool:
    """Whether on golden rows of one hour, at one place or everywhere, are alike as rows of that place are not at other hours."""
    rows = np.flatnonzero(case.golden & np.isfinite(values))
    for codes in (np.zeros(len(case.ts), dtype=np.int64), *case.categories.values()):
        places = codes[rows] - codes[rows].min(initial=0)
        counts = np.maximum(np.bincount(places), 1)
        means = np.bincount(places, weights=values[rows]) / counts
        usual, left = float(((values[rows] - means[places]) ** 2).mean()), _left(case, codes, rows, values[rows])
        if left is not None and left < ROUGHLY * usual:
            return True
    return False


def of_the_clock(case: Case, place: Ints, values: Floats) -> bool:
    """Whether a state of each place is what the hour of the day says, and no day's own: it comes round, and is code's to tell."""
    rows = np.flatnonzero(case.golden & np.isfinite(values))
    hour = case.hour[rows].astype(np.int64)
    usual, left = (_within(values[rows], cells) for cells in (place[rows] + 1, 24 * (place[rows] + 1) + hour))
    then = _within(values[rows], np.unique(_cells(case, place)[rows], return_inverse=True)[1])
    return left < EXACTLY * usual and left <= LONGER * then + NOTHING * usual


def _within(values: Floats, cells: Ints) -> float:
    """The variance of values about the means of their cells."""
    sums, counts = np.bincount(cells, weights=values), np.maximum(np.bincount(cells), 1)
    return float(((values - (sums / counts)[cells]) ** 2).mean())


def of_calendar(case: Case, values: Floats) -> bool:
    """Whether values are what the calendar says of the time: golden's was but one month, and the next one follows."""
    days = case.ts.astype("datetime64[us]").astype("datetime64[D]")
    months = days.astype("datetime64[M]").astype(np.int64)
    year, month = 1970 + months // 12, months % 12 + 1
    thursday = days + 3 - (days.astype(np.int64) + 3) % 7  # whose year the week is counted in
    week = (thursday - thursday.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64) // 7 + 1
    told = (year, month, (month + 2) // 3, week, (thursday.astype("datetime64[Y]").astype(np.int64) + 1970))
    return any(np.mean(values == one) > NEARLY or np.mean(values == one - 1) > NEARLY for one in told)


def _cells(case: Case, codes: Ints) -> Ints:
    cells: Ints = (case.ts // HOUR_US) * (int(codes.max(initial=0)) + 2) + codes + 1
    return cells


def alone(case: Case, place: Ints, values: Floats, affected: Bools) -> bool:
    """Whether these rows have another state than the others of their hour and place: it was handed on wrongly, and is not the world's."""
    known = np.flatnonzero(np.isfinite(values))
    cell = np.unique(_cells(case, place)[known], return_inverse=True)[1]
    others = ~affected[known]
    counts = np.bincount(cell, weights=others)
    means = np.bincount(cell, weights=np.where(others, values[known], 0.0)) / np.maximum(counts, 1)
    gaps = np.abs(values[known] - means[cell])
    here, usual = (gaps[rows & (counts[cell] >= _CROWD)] for rows in (~others, case.golden[known]))
    return here.size >= _FEW and float(here.mean()) > LONGER * float(usual.mean()) + _SLIGHT * float(
        values[known].std()
    )


def one(case: Case, values: Floats, rows: Bools) -> bool:
    """Whether those of these rows that share an hour share a value: a state, if of a place that golden did not tell apart."""
    known = np.flatnonzero(rows & np.isfinite(values))
    left = _left(case, np.zeros(len(case.ts), dtype=np.int64), known, values[known])
    return left is not None and left < SHARED * float(np.nanvar(values[case.golden]))


def of_the_world(case: Case, values: Floats, affected: Bools, inside: Bools, since_us: int) -> bool:
    """Whether values are a state, and these rows have that of the others of their hour and place, or one of their own that came as weather does.

    `affected` are the rows of the slice `inside` since a moment.
    """
    place = places(case, values, shared=ROUGHLY)
    if place is None:
        return False
    if not alone(case, place, values, affected):
        return True
    # A front that is over one town goes on as weather does.
    return one(case, values, affected) and not leapt(case, place, np.where(inside, values, np.nan), since_us)


def leapt(case: Case, place: Ints, values: Floats, at_us: int, *, later: bool = False) -> bool:
    """Whether a state went farther within an hour or two of a moment than it ever did in golden; also where it was not seen before.

    Summer ends within a day or two; degrees become other degrees from one row to the next. With `later` any hour from then on counts.
    """
    usual, here = _steps(case, place, values, at_us, later=later)
    return not here.size or not usual.size or float(here.max()) > _FARTHER * float(usual.max())


def jumped(case: Case, place: Ints, values: Floats, at_us: int) -> bool:
    """Whether a state that moves from hour to hour went several times as far within one as it ever did in golden: no weather does."""
    usual, here = _steps(case, place, values, at_us)
    moves = usual.size >= _TURNS and float(np.median(usual)) > 0
    return bool(moves and here.size and float(here.max()) > LONGER * float(usual.max()))


def _steps(case: Case, place: Ints, values: Floats, at_us: int, *, later: bool = False) -> tuple[Floats, Floats]:
    """By how much a state moved from one hour of a place to the next, in golden, and within an hour of a moment, or from then on."""
    known = np.flatnonzero(np.isfinite(values))
    index, cell = np.unique(_cells(case, place)[known], return_inverse=True)
    means = np.bincount(cell, weights=values[known]) / np.bincount(cell)
    hours, places_of = np.divmod(index, int(place.max(initial=0)) + 2)
    order = np.lexsort((hours, places_of))
    soon = (np.diff(places_of[order]) == 0) & (np.diff(hours[order]) <= _SOON_US // HOUR_US)
    steps, when = np.abs(np.diff(means[order])), hours[order][1:]
    golden = when <= int(case.ts[case.golden].max()) // HOUR_US
    since = when - at_us // HOUR_US
    return steps[soon & golden], steps[soon & (since >= -1) & ((since <= 1) | later)]


def longest(case: Case, place: Ints, same: Ints, rows: Bools) -> int:
    """For how many hours on end most rows of one place had the same code, at most; rows whose code is negative do not count."""
    chosen = np.flatnonzero(rows)
    most = 0
    for where in np.unique(place[chosen]):
        here = chosen[place[chosen] == where]
        hours, index = np.unique(case.ts[here] // HOUR_US, return_inverse=True)
        pairs, counts = np.unique(np.stack([index, same[here]]), axis=1, return_counts=True)
        order = np.lexsort((counts, pairs[0]))
        last = np.flatnonzero(np.append(np.diff(pairs[0][order]) > 0, True))
        common = pairs[1][order][last]
        breaks = np.flatnonzero((np.diff(common) != 0) | (np.diff(hours) > 3)) + 1
        for run in np.split(np.arange(common.size), breaks):
            if common[run[0]] >= 0:
                most = max(most, int(hours[run[-1]] - hours[run[0]]) + 1)
    return most
