"""Flat records by their fields: rows where they were flattened one by one, columns where many were at once.

In: one record at a time, or pieces of columns. Out: the records again, in order, or the pieces for whoever wants columns.
`plans.py` fills them, `tables.py` makes Arrow columns of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

Names = tuple[str, ...]
Floats: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]
Ints: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one field, n of them, all of one kind.

    `kind` is number, micros, text, flag, numbers (lists of numbers) or none (all are missing). `values` are doubles, microseconds,
    bytes of UTF-8, booleans, or the items of lists. Texts and lists stand one after the other, and `ends` says where each ends.
    """

    kind: str
    values: Any
    missing: Mask | None = None
    """Which are missing; None where none is."""
    whole: Mask | None = None
    """Which numbers are integers; None where none is."""
    ends: Ints | None = None

    def __len__(self) -> int:
        return len(self.values if self.ends is None else self.ends)

    def lengths(self) -> Ints:
        """How many bytes or items each text or list has."""
        return np.diff(self.ends, prepend=0) if self.ends is not None else np.ones(len(self), np.int64)

    def take(self, rows: Ints) -> Column:
        """The values of these rows."""
        missing = None if self.missing is None else self.missing[rows]
        if self.ends is None:
            whole = None if self.whole is None else self.whole[rows]
            return replace(self, values=self.values[rows], missing=missing, whole=whole)
        counts = self.lengths()
        ends = np.cumsum(counts[rows])
        items = np.repeat(self.ends[rows] - ends, counts[rows]) + np.arange(ends[-1] if len(ends) else 0)
        whole = None if self.whole is None else self.whole[items]
        return Column(self.kind, self.values[items], missing, whole, ends)

    def to_list(self) -> list[Any]:
        """The values as Python has them, None where one is missing."""
        ends = [] if self.ends is None else self.ends.tolist()
        if self.kind == "text":
            data = self.values.tobytes()
            values = [data[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
        else:
            values = self.values.tolist()
        if self.whole is not None:
            values = [int(value) if whole else value for value, whole in zip(values, self.whole.tolist(), strict=True)]
        if self.kind == "numbers":
            values = [values[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        if self.missing is not None:
            values = [None if gone else value for value, gone in zip(values, self.missing.tolist(), strict=True)]
        return list(values)


def texts(values: Sequence[str | None]) -> Column:
    """A column of texts; what UTF-8 has no bytes for is spelled out."""
    data = [b"" if value is None else value.encode("utf-8", "backslashreplace") for value in values]
    missing = np.array([value is None for value in values], np.bool_)
    ends = np.cumsum(np.array([len(text) for text in data], np.int64))
    return Column("text", np.frombuffer(b"".join(data), np.uint8), missing if missing.any() else None, ends=ends)


@dataclass(slots=True)
class Piece:
    """Records of the same fields, column by column, and the number of each among all records."""

    columns: dict[str, Column]
    numbers: Ints


@dataclass(slots=True)
class Block:
    """Records of the same fields, row by row: the values of each in the order of the names, and its number among all records."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


class Records:
    """Flat records, numbered in the order in which they came."""

    __slots__ = ("blocks", "pieces", "top")

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.blocks: dict[Names, Block] = {}
        self.pieces: list[Piece] = []
        self.top = 0
        for record in records:
            self.add(record, self.number())

    def number(self) -> int:
        """A number for the next record."""
        self.top += 1
        return self.top - 1

    def add(self, record: Mapping[str, Any], number: int) -> None:
        """One more record."""
        block = self.blocks.setdefault(tuple(record), Block())
        block.rows.append(tuple(record.values()))
        block.numbers.append(number)

    def extend(self, other: Records) -> None:
        """Other records, after these."""
        self.pieces += [Piece(piece.columns, piece.numbers + self.top) for piece in other.pieces]
        for names, theirs in other.blocks.items():
            block = self.blocks.setdefault(names, Block())
            block.rows += theirs.rows
            block.numbers += [self.top + number for number in theirs.numbers]
        self.top += other.top

    def names(self) -> list[str]:
        """All fields, those of the pieces first."""
        listed = [*(piece.columns for piece in self.pieces), *self.blocks]
        return list(dict.fromkeys(name for names in listed for name in names))

    def __len__(self) -> int:
        return sum(len(piece.numbers) for piece in self.pieces) + sum(len(block.rows) for block in self.blocks.values())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for piece in self.pieces:
            rows = zip(*(column.to_list() for column in piece.columns.values()), strict=True)
            found |= _numbered(tuple(piece.columns), piece.numbers.tolist(), rows)
        for names, block in self.blocks.items():
            found |= _numbered(names, block.numbers, block.rows)
        return iter([found[number] for number in sorted(found)])


def _numbered(names: Names, numbers: Iterable[int], rows: Iterable[tuple[Any, ...]]) -> dict[int, dict[str, Any]]:
    return {number: dict(zip(names, row, strict=True)) for number, row in zip(numbers, rows, strict=True)}
