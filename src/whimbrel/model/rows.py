"""Predictions as columns: what the engine hands to whoever must look at single rows.

`Numbers` are float64 with NaN for null (booleans are categories). `Categories` are codes into a vocabulary, -1 for
null; any text is one, however many distinct values it has, so that work on text is done once a distinct value.
A list field arrives as derived numbers under `path#length`, `path#mean` and `path#norm`, and, where all lists are
short, its elements under `path[0]`, `path[1]`, …, null behind the end of a shorter one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A numeric column, shape (n,), NaN where null; infinities stay."""

    values: Floats

    def take(self, rows: Bools | Ints) -> Numbers:
        """The chosen rows."""
        return Numbers(self.values[rows])

    @property
    def missing(self) -> Bools:
        """Where the value is null, shape (n,)."""
        return np.isnan(self.values)


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """A text or boolean column: codes, shape (n,), into `vocabulary`; -1 where null."""

    codes: Ints
    vocabulary: tuple[str, ...]

    def take(self, rows: Bools | Ints) -> Categories:
        """The chosen rows, over the same vocabulary."""
        return Categories(self.codes[rows], self.vocabulary)

    @property
    def missing(self) -> Bools:
        """Where the value is null, shape (n,)."""
        return self.codes < 0


Column: TypeAlias = Numbers | Categories


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """`n` predictions out of the `total` that the window holds; all arrays have shape (n,).

    `ts` is microseconds since 1970, UTC. `label_ts` likewise, -1 where unknown. `rescued[path]` marks rows whose value
    did not fit the field's kind (the column is null there). A field that the table has and the window never fills
    is present, all null.
    """

    ids: tuple[str, ...]
    ts: Ints
    columns: Mapping[str, Column]
    total: int
    label_ts: Ints | None = None
    rescued: Mapping[str, Bools] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ts)

    def __add__(self, other: Rows) -> Rows:
        """These rows, then the other's; a column that one of them lacks is null there."""
        paths = dict.fromkeys([*self.columns, *other.columns])
        return Rows(
            ids=self.ids + other.ids,
            ts=np.concatenate([self.ts, other.ts]),
            columns={
                path: join(self.columns.get(path), len(self), other.columns.get(path), len(other)) for path in paths
            },
            total=self.total + other.total,
            label_ts=_join_label_ts(self, other),
            rescued={
                path: np.concatenate([
                    rows.rescued.get(path, np.zeros(len(rows), dtype=bool)) for rows in (self, other)
                ])
                for path in dict.fromkeys([*self.rescued, *other.rescued])
            },
        )  # fmt: skip

    def take(self, rows: Bools | Ints) -> Rows:
        """The chosen rows; `total` shrinks in proportion."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Rows(
            ids=tuple(self.ids[i] for i in index),
            ts=self.ts[index],
            columns={path: column.take(index) for path, column in self.columns.items()},
            total=round(self.total * len(index) / max(len(self), 1)),
            label_ts=None if self.label_ts is None else self.label_ts[index],
            rescued={path: flags[index] for path, flags in self.rescued.items()},
        )


def join(first: Column | None, n_first: int, second: Column | None, n_second: int) -> Column:
    """One column after the other; None stands for all null. Where the kinds differ, the first one's stands."""
    if _empty(first):
        first = None
    if _empty(second):
        second = None
    if isinstance(first, Numbers) or (first is None and not isinstance(second, Categories)):
        if isinstance(second, Categories):
            second = _to_numbers(second)
        left = first.values if isinstance(first, Numbers) else np.full(n_first, np.nan)
        right = second.values if second is not None else np.full(n_second, np.nan)
        return Numbers(np.concatenate([left, right]))
    if isinstance(second, Numbers):
        second = _to_categories(second)
    nothing = (np.full(n_first, -1), np.full(n_second, -1))
    parts = (first or Categories(nothing[0], ()), second or Categories(nothing[1], ()))
    index: dict[str, int] = {}
    codes = []
    for part in parts:
        mapped = np.array([index.setdefault(value, len(index)) for value in part.vocabulary] + [-1], dtype=np.int64)
        codes.append(mapped[part.codes])
    return Categories(np.concatenate(codes), tuple(index))


def _empty(column: Column | None) -> bool:
    return column is None or bool(column.missing.all())


def _to_numbers(column: Categories) -> Numbers:
    def number(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            return math.nan

    values = np.array([number(text) for text in column.vocabulary] + [math.nan])
    return Numbers(values[column.codes])


def _to_categories(column: Numbers) -> Categories:
    values, codes = np.unique(column.values, return_inverse=True)
    codes = np.where(np.isnan(values)[codes], -1, codes).astype(np.int64)
    return Categories(codes, tuple(f"{value:g}" for value in values))


def _join_label_ts(first: Rows, second: Rows) -> Ints | None:
    if first.label_ts is None and second.label_ts is None:
        return None
    parts = [rows.label_ts if rows.label_ts is not None else np.full(len(rows), -1) for rows in (first, second)]
    return np.concatenate(parts)
