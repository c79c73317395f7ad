"""Flat records, many at once: what is replayed, and what code makes of it, as columns by path.

In: rows, or arrays. Out: columns; and, to whoever needs single records, dictionaries that are made when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from whimbrel.model.rows import Bools, Floats, Ints

Objects: TypeAlias = NDArray[np.object_]

EXACT = 2**53
"""Whole numbers up to here are exact in float64; a column that holds larger ones is one of objects."""


@dataclass(frozen=True, slots=True, eq=False)
class Records(Sequence[dict[str, Any]]):
    """`n` flat records as columns; `Records()` is the neutral element of `+`.

    As a sequence it holds dictionaries of values by path, from which nulls are left out. Numbers of one path are all whole or
    all floats: where a column mixes them, they are floats.
    """

    paths: tuple[str, ...] = ()
    """All paths, in the order in which the records bring them."""
    numbers: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """The columns that hold numbers, shape (n, columns), nan where null."""
    there: Bools = field(default_factory=lambda: np.empty((0, 0), np.bool_))
    """Where they are not null, same shape: a recorded nan is not null."""
    at: Mapping[str, int] = field(default_factory=dict)
    """Which column of `numbers` a path is."""
    whole: frozenset[str] = frozenset()
    """The paths whose numbers are integers."""
    others: Mapping[str, Objects] = field(default_factory=dict)
    """Columns of anything else (texts, booleans, times, lists), shape (n,), None where null."""

    @staticmethod
    def of(rows: Sequence[Mapping[str, Any]]) -> Records:
        """Rows as columns; what is columns already stays what it is."""
        if isinstance(rows, Records):
            return rows
        paths = dict.fromkeys(path for row in rows for path, value in row.items() if value is not None)
        return Records.of_columns({path: [row.get(path) for row in rows] for path in paths}, len(rows))

    @staticmethod
    def of_columns(columns: Mapping[str, Sequence[Any] | NDArray[Any]], n: int) -> Records:
        """Columns of `n` values each: lists with None for null, arrays, or masked arrays."""
        known = {path: _column(values) for path, values in columns.items()}
        numeric = [path for path, (values, _, _) in known.items() if values.dtype == np.float64]
        numbers, there = np.empty((n, len(numeric))), np.ones((n, len(numeric)), np.bool_)
        for j, path in enumerate(numeric):
            numbers[:, j], mask, _ = known[path]
            if mask is not None:
                there[:, j] = mask
        return Records(
            tuple(known), numbers, there, {path: j for j, path in enumerate(numeric)},
            frozenset(path for path in numeric if known[path][2]),
            {path: values for path, (values, _, _) in known.items() if values.dtype != np.float64},
        )  # fmt: skip

    @staticmethod
    def of_matrix(paths: Sequence[str], cells: NDArray[Any]) -> Records:
        """An array of shape (n, paths); no cell of floats is null."""
        if cells.dtype.kind != "f":
            return Records.of_columns(dict(zip(paths, cells.T, strict=True)), len(cells))
        at = {path: j for j, path in enumerate(paths)}
        return Records(tuple(paths), cells.astype(np.float64), np.ones(cells.shape, np.bool_), at)

    @staticmethod
    def beside(parts: Sequence[Records]) -> Records:
        """Columns of the same records, one part after the other; no path is in two of them."""
        parts = [part for part in parts if part.paths]
        if len(parts) == 1:
            return parts[0]
        return Records(
            tuple(path for part in parts for path in part.paths), np.hstack([part.numbers for part in parts]),
            np.hstack([part.there for part in parts]),
            {path: j for j, path in enumerate(path for part in parts for path in part.at)},
            frozenset().union(*(part.whole for part in parts)),
            {path: column for part in parts for path, column in part.others.items()},
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, row: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, row: slice) -> Records: ...
    def __getitem__(self, row: int | slice) -> dict[str, Any] | Records:
        if isinstance(row, slice):
            return self.take(row)
        i = range(len(self))[row]
        return next(iter(self.take(slice(i, i + 1))))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self.paths:
            yield from ({} for _ in range(len(self)))
        for row in zip(*(self.values(path) for path in self.paths), strict=True):
            yield {path: value for path, value in zip(self.paths, row, strict=True) if value is not None}

    def __add__(self, other: Records) -> Records:
        """These records, then the other's; a path that one of them lacks is null there."""
        if not len(self) or not len(other):
            return self if len(self) else other
        if self.at is other.at and self.paths is other.paths:  # of one origin
            both = {path: np.concatenate([column, other.others[path]]) for path, column in self.others.items()}
            numbers, there = np.concatenate([self.numbers, other.numbers]), np.concatenate([self.there, other.there])
            return Records(self.paths, numbers, there, self.at, self.whole, both)
        return self._aligned(other)

    def _aligned(self, other: Records) -> Records:
        """The same for columns that differ."""
        both = (self, other)
        paths = tuple(dict.fromkeys(self.paths + other.paths))
        odd = [path for path in paths if path in self.others or path in other.others]
        numeric = [path for path in paths if path not in odd]
        return Records(
            paths,
            np.concatenate([one.matrix(numeric) for one in both]),
            np.concatenate([one.held(numeric) for one in both]),
            {path: j for j, path in enumerate(numeric)},
            frozenset(p for p in self.whole | other.whole if all(p in one.whole or p not in one.at for one in both)),
            {path: np.concatenate([one.objects(path) for one in both]) for path in odd},
        )

    def take(self, rows: slice | Ints) -> Records:
        """The chosen records."""
        others = {path: column[rows] for path, column in self.others.items()}
        return Records(self.paths, self.numbers[rows], self.there[rows], self.at, self.whole, others)

    def only(self, paths: Sequence[str]) -> Records:
        """The same records, of which these paths alone are known."""
        numeric = [path for path in paths if path in self.at]
        return Records(
            tuple(paths), self.matrix(numeric), self.held(numeric), {path: j for j, path in enumerate(numeric)},
            self.whole.intersection(paths), {path: self.others[path] for path in paths if path in self.others},
        )  # fmt: skip

    def fields(self, group: str) -> list[str]:
        """The names of a group's fields that some record holds."""
        head = f"{group}."
        return [path[len(head) :] for path in self.present() if path.startswith(head)]

    def present(self) -> list[str]:
        """The paths that are not null in some record."""
        held = dict(zip(self.at, np.any(self.there, axis=0).tolist(), strict=True))
        return [
            p for p in self.paths if held.get(p) or (p in self.others and any(v is not None for v in self.others[p]))
        ]

    def values(self, path: str) -> list[Any]:
        """One column as Python's own values, None where null."""
        if path not in self.at:
            return list(self.objects(path))
        column, there = self.numbers[:, self.at[path]], self.there[:, self.at[path]]
        if path in self.whole:
            column = np.where(there, column, 0).astype(np.int64)
        items: list[Any] = column.tolist()
        return items if there.all() else [v if held else None for v, held in zip(items, there.tolist(), strict=True)]

    def objects(self, path: str) -> Objects:
        """One column as objects, shape (n,), None where null."""
        if path in self.at:
            return _objects(self.values(path))
        found = self.others.get(path)
        return np.full(len(self), None, object) if found is None else found

    def matrix(self, paths: Sequence[str]) -> Floats:
        """Columns of numbers, shape (n, paths), nan where null or where there is no such column of numbers."""
        return _chosen(self.numbers, [self.at.get(path, -1) for path in paths], np.nan)

    def held(self, paths: Sequence[str]) -> Bools:
        """Where these paths are not null, shape (n, paths)."""
        out = _chosen(self.there, [self.at.get(path, -1) for path in paths], False)
        for j, path in enumerate(paths):
            if path in self.others:
                out[:, j] = self.others[path] != None  # noqa: E711  by element
        return out


def _chosen(table: NDArray[Any], at: Sequence[int], nothing: Any) -> NDArray[Any]:
    """Columns of a table; a view where they lie beside each other, and `nothing` where a column is -1."""
    if at and at[0] >= 0 and at == list(range(at[0], at[0] + len(at))):
        return table[:, at[0] : at[0] + len(at)]
    out = np.full((len(table), len(at)), nothing, table.dtype)
    known = [j for j, column in enumerate(at) if column >= 0]
    out[:, known] = table[:, [at[j] for j in known]]
    return out


def _column(values: Sequence[Any] | NDArray[Any]) -> tuple[NDArray[Any], Bools | None, bool]:
    """A column as float64 or as objects; where it is not null (None: everywhere); whether it holds integers."""
    if not isinstance(values, np.ndarray):
        return _of_cells(list(values))
    held = ~np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    whole = values.dtype.kind in "iu"
    if values.dtype.kind not in "fiu" or (whole and values.size and _large(values.min(), values.max())):
        return _objects(_plain(values)), None, False
    numbers: Floats = np.array(values, np.float64)
    if held is not None:
        numbers[~held] = np.nan
    return numbers, held, whole


def _of_cells(values: list[Any]) -> tuple[NDArray[Any], Bools | None, bool]:
    kinds = set(map(type, values))
    gaps = type(None) in kinds
    kinds.discard(type(None))
    if not kinds or not all(issubclass(kind, int | float) and kind is not bool for kind in kinds):
        return _objects(values), None, False
    whole = all(issubclass(kind, int) for kind in kinds)
    if any(issubclass(kind, int) for kind in kinds) and _large(*(v for v in values if isinstance(v, int))):
        return _objects(values), None, False
    held = np.array([value is not None for value in values], np.bool_) if gaps else None
    return np.array(values, np.float64), held, whole


def _large(*values: Any) -> bool:
    return any(not -EXACT <= int(value) <= EXACT for value in values)


def _plain(values: NDArray[Any]) -> Iterable[Any]:
    """An array's cells as Python's own values; an array in a cell is a list."""
    return (cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in values.tolist())


def _objects(values: Iterable[Any]) -> Objects:
    cells = list(values)
    return np.fromiter(cells, object, len(cells))
