"""What a window looks like, in kilobytes: counts on golden's bins, as a value that merges.

A `Binning` is learned on golden and says how each column is counted. A `Profile` holds the counts of one window on it:
all bins by day and by dimension value, and groups of bins by hour, with moments, a distinct-value sketch and a few rows
beside them. `Profile(binning)` is the neutral element; profiles on one binning add up, in any order and grouping, to
the profile of all their rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from math import inf, isfinite, nextafter
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from whimbrel.errors import UsageError
from whimbrel.model.rows import Bools, Floats, Ints

Hashes: TypeAlias = NDArray[np.uint64]

NULL, RESCUED, OUTSIDE = 0, 1, 2
"""The bins that every column has, in this order. OUTSIDE is below golden's range, or a text that `values` lacks."""

MOST_BINS = 64
"""Bins of one column, these three included, are fewer than this: a bin is named by six bits."""


@dataclass(frozen=True, slots=True)
class Bins:
    """How one column is counted.

    A numeric column has `edges`, ascending, m of them: after NULL and RESCUED come far below, the m - 1 stretches
    `edges[i] <= x < edges[i+1]`, and far above. A stretch of a single float is an *atom*: a value that holds a good
    share of golden. A text column has `values`, most frequent first, a bin each. `open` says that golden held more
    values than have bins of their own, so that another one is nothing new. `groups[b]` is the group that bin b is
    counted in by hour.
    """

    column: str
    kind: Literal["number", "text"]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    open: bool = False
    groups: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many bins there are."""
        return OUTSIDE + 1 + (len(self.edges) if self.kind == "number" else len(self.values))

    @property
    def width(self) -> int:
        """How many groups there are."""
        return max(self.groups, default=-1) + 1

    @property
    def structural(self) -> tuple[int, ...]:
        """Bins that say something is broken where golden leaves them empty: a value there is of a new sort.

        Of an open numeric column these are the far ends alone: just beyond golden's range is weather.
        """
        if self.kind == "number" and self.open:
            return (RESCUED, OUTSIDE, self.size - 1)
        return tuple(range(RESCUED, self.size))

    def is_atom(self, bin_: int) -> bool:
        """Whether a bin holds one single value."""
        if self.kind == "text":
            return bin_ > OUTSIDE
        i = bin_ - OUTSIDE - 1
        return 0 <= i < len(self.edges) - 1 and nextafter(self.edges[i], inf) == self.edges[i + 1]

    def label(self, bin_: int) -> str:
        """A bin in words."""
        if bin_ in (NULL, RESCUED):
            return ("null", "wrong type")[bin_]
        if self.kind == "text":
            return "other" if bin_ == OUTSIDE else self.values[bin_ - OUTSIDE - 1]
        i = bin_ - OUTSIDE - 1
        if not self.edges:
            return "any"
        if i < 0:
            return f"< {self.edges[0]:.6g}"
        if i == len(self.edges) - 1:
            return f"> {nextafter(self.edges[-1], -inf):.6g}"
        return f"{self.edges[i]:.6g}" if self.is_atom(bin_) else f"{self.edges[i]:.6g} – {self.edges[i + 1]:.6g}"


@dataclass(frozen=True)
class Binning:
    """How a window is counted: its columns, and which of them are dimensions (the ways to slice traffic).

    Column 0 of every table of counts is the number of rows; `starts[i]` is where column i's bins begin, in the tables
    by day and dimension value, and `group_starts[i]` in the table by hour.
    """

    columns: tuple[Bins, ...] = ()
    dimensions: tuple[str, ...] = ()
    """Names of the text columns that traffic is sliced by."""

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each column's bins begin; the last entry is the width of the table."""
        return tuple(accumulate((bins.size for bins in self.columns), initial=1))

    @cached_property
    def group_starts(self) -> tuple[int, ...]:
        """Where each column's groups begin; the last entry is the width of the table."""
        return tuple(accumulate((bins.width for bins in self.columns), initial=1))

    @cached_property
    def index(self) -> dict[str, int]:
        """A column's place by its name."""
        return {bins.column: i for i, bins in enumerate(self.columns)}


Sorted = TypeVar("Sorted", Ints, Hashes)


def without_repeats(values: Sorted) -> Sorted:
    """The distinct values, ascending; NumPy's own `unique` loads masked arrays (20 ms) at its first call."""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) != 0] if len(ordered) else ordered


def _no_ints() -> Ints:
    return np.zeros(0, np.int64)


def _no_counts() -> Ints:
    return np.zeros((0, 0), np.int64)


def _no_hashes() -> Hashes:
    return np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A table of counts: `keys`, shape (k,), ascending and without repeats, and `counts`, shape (k, width).

    `Cells()` is the neutral element. A key that is absent counts nothing.
    """

    keys: Ints = field(default_factory=_no_ints)
    counts: Ints = field(default_factory=_no_counts)

    def __add__(self, other: Cells) -> Cells:
        if not len(self.keys) or not len(other.keys):
            return self if len(self.keys) else other
        keys = without_repeats(np.concatenate([self.keys, other.keys]))
        counts = np.zeros((len(keys), self.counts.shape[1]), np.int64)
        counts[np.searchsorted(keys, self.keys)] += self.counts
        counts[np.searchsorted(keys, other.keys)] += other.counts
        return Cells(keys, counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cells):
            return NotImplemented
        return np.array_equal(self.keys, other.keys) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]

    def at(self, key: int, width: int) -> Ints:
        """The counts of one key, shape (width,); zeros where it is absent."""
        place = int(np.searchsorted(self.keys, key))
        found = place < len(self.keys) and self.keys[place] == key
        return self.counts[place] if found else np.zeros(width, np.int64)

    def total(self, width: int) -> Ints:
        """The counts of all keys together, shape (width,)."""
        return self.counts.sum(axis=0) if len(self.keys) else np.zeros(width, np.int64)


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean, centred sum of squares and range of a column's finite values; `Moments()` is the neutral element.

    Merged as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
    (1979).
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = inf
    high: float = -inf

    @staticmethod
    def of(values: Floats, there: Bools | None = None) -> Moments:
        """The moments of the finite ones among these values, shape (n,); those that are not `there` must be one of the others again."""
        n = len(values) if there is None else int(np.count_nonzero(there))
        if not n:
            return Moments()
        with np.errstate(over="ignore", invalid="ignore"):  # values near the largest float: the spread is infinite
            low, high = float(values.min()), float(values.max())
            again = float(values.mean() if there is None else values[there.argmin()])
            gaps = values - again  # nothing, where a value is there again
            gap = 0.0 if there is None else float(gaps.sum()) / n
            square = float(np.square(gaps, out=gaps).sum())  # not a dot product: that wakes a pool of threads
            m2 = max(square - n * gap * gap, 0.0)
            if isfinite(low) and isfinite(high) and isfinite(m2):
                return Moments(n, again + gap, m2, low, high)
            finite = np.isfinite(values)
            return Moments._of_some(values, finite if there is None else finite & there)

    @staticmethod
    def _of_some(values: Floats, finite: Bools) -> Moments:
        """The moments of the values marked; zeros in the place of the others cost a third of picking the marked ones out."""
        n = int(np.count_nonzero(finite))
        if not n:
            return Moments()
        some = np.where(finite, values, values[finite.argmax()])
        low, high = float(some.min()), float(some.max())
        some *= finite
        mean = float(some.sum()) / n
        some -= mean
        some[~finite] = 0.0
        return Moments(n, mean, float(np.square(some, out=some).sum()), low, high)

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        if n == 0:
            return self
        gap = other.mean - self.mean
        return Moments(
            n,
            self.mean + gap * (other.n / n),
            self.m2 + other.m2 + gap * gap * (self.n * other.n / n),
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def variance(self) -> float:
        """The mean squared distance from the mean; NaN of nothing."""
        return self.m2 / self.n if self.n else np.nan


KEPT_HASHES = 256


@dataclass(frozen=True, slots=True, eq=False)
class Distinct:
    """About how many distinct values: the smallest hashes seen, ascending, at most `KEPT_HASHES` of them.

    `Distinct()` is the neutral element. The estimate errs by 6% (one standard deviation). Source: Bar-Yossef et al.,
    "Counting distinct elements in a data stream" (2002).
    """

    hashes: Hashes = field(default_factory=_no_hashes)

    @staticmethod
    def of(hashes: Hashes) -> Distinct:
        """The sketch of values with these 64-bit hashes, in any order, repeats allowed."""
        return Distinct(without_repeats(hashes)[:KEPT_HASHES])

    def __add__(self, other: Distinct) -> Distinct:
        return Distinct.of(np.concatenate([self.hashes, other.hashes]))

    def __eq__(self, other: object) -> bool:
        return np.array_equal(self.hashes, other.hashes) if isinstance(other, Distinct) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @property
    def count(self) -> float:
        """How many distinct values there are: exact below `KEPT_HASHES`, an estimate from there on."""
        if len(self.hashes) < KEPT_HASHES:
            return float(len(self.hashes))
        return (KEPT_HASHES - 1) / (float(self.hashes[-1]) / 2.0**64)


KEPT_PICKS = 1_000

Pick: TypeAlias = tuple[float | str | None, ...]


@dataclass(frozen=True, slots=True)
class Picks:
    """A few rows as they are, so that what is new has a name: those with the smallest hashes, at most `KEPT_PICKS`.

    `rows` are (hash, values) pairs, ascending, a value a column of the binning (None where null). `Picks()` is
    the neutral element. As the hash does not look at the window, any window's picks are a fair sample of its rows.
    """

    rows: tuple[tuple[int, Pick], ...] = ()

    @staticmethod
    def of(rows: Sequence[tuple[int, Pick]]) -> Picks:
        """The picks among these rows, in any order."""
        ordered = sorted(rows, key=lambda row: row[0])
        ties = any(a[0] == b[0] for a, b in pairwise(ordered))
        if ties:  # equal hashes: content decides, so that the order of arrival never does
            ordered.sort(key=lambda row: (row[0], repr(row[1])))
        return Picks(tuple(ordered[:KEPT_PICKS]))

    def column(self, i: int) -> list[float | str | None]:
        """The picked values of column i."""
        return [values[i] for _, values in self.rows]

    def __add__(self, other: Picks) -> Picks:
        return Picks.of(self.rows + other.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The counts of one window. `Profile(binning)` is the neutral element.

    `days` has all bins by day since 1970 (UTC), `hours` groups of bins by hour since 1970, `slices` all bins by
    dimension value, under the key `MOST_BINS * dimension + bin of the dimension's column`; the hour of the day (UTC) is
    one dimension more, after those of the binning. `moments` and `distinct` have an entry a column. `first` and `last`
    are the range of `ts` in µs since 1970.
    """

    binning: Binning
    days: Cells = field(default_factory=Cells)
    hours: Cells = field(default_factory=Cells)
    slices: Cells = field(default_factory=Cells)
    moments: tuple[Moments, ...] = ()
    distinct: tuple[Distinct, ...] = ()
    picks: Picks = field(default_factory=Picks)
    first: int = 2**63 - 1
    last: int = -(2**63)

    def __add__(self, other: Profile) -> Profile:
        if self.binning is not other.binning and self.binning != other.binning:
            raise UsageError(
                "two profiles with different bins do not add up", where="Profile.__add__",
                why="each was made with a binning of its own", next="make both with the same golden's binning",
            )  # fmt: skip
        if not self.rows or not other.rows:
            return self if self.rows else other
        return Profile(
            binning=self.binning,
            days=self.days + other.days,
            hours=self.hours + other.hours,
            slices=self.slices + other.slices,
            moments=tuple(a + b for a, b in zip(self.moments, other.moments, strict=True)),
            distinct=tuple(a + b for a, b in zip(self.distinct, other.distinct, strict=True)),
            picks=self.picks + other.picks,
            first=min(self.first, other.first),
            last=max(self.last, other.last),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Profile):
            return NotImplemented
        names = ("binning", "days", "hours", "slices", "moments", "distinct", "picks", "first", "last")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]

    @property
    def rows(self) -> int:
        """How many predictions were counted."""
        return int(self.days.counts[:, 0].sum()) if len(self.days.keys) else 0

    def totals(self) -> Ints:
        """All counts of the window, shape (width,): rows first, then each column's bins as `binning.starts` says."""
        return self.days.total(self.binning.starts[-1])

    def counts(self, column: str) -> Ints:
        """One column's counts, shape (bins,)."""
        i = self.binning.index[column]
        return self.totals()[self.binning.starts[i] : self.binning.starts[i + 1]]

    def slice_of(self, dimension: str, value: str | None) -> Ints:
        """All counts where a dimension has a value (None: where it is null), shape (width,).

        Raises:
            KeyError: no such dimension, or golden never had this value.
        """
        place = self.binning.dimensions.index(dimension)
        bins = self.binning.columns[self.binning.index[dimension]]
        code = NULL if value is None else OUTSIDE + 1 + bins.values.index(value)
        return self.slices.at(MOST_BINS * place + code, self.binning.starts[-1])
