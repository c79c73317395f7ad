"""Flat records by their fields: those with the same names in the same order form a block, so that columns cost little.

In: the names and values of one record at a time. Out: the records again, in order, or block by block for whoever wants
columns. `plans.py` fills them, `store/tables.py` makes columns of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Names = tuple[str, ...]


@dataclass(slots=True)
class Block:
    """Records of the same fields: the values of each, in the order of the names, and its number among all records."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


class Records:
    """Flat records in the order in which they came."""

    __slots__ = ("blocks", "count")

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.blocks: dict[Names, Block] = {}
        self.count = 0
        for record in records:
            self.add(self.block(tuple(record)), tuple(record.values()))

    def block(self, names: Names) -> Block:
        """The block of the records with these fields."""
        found = self.blocks.get(names)
        if found is None:
            found = self.blocks[names] = Block()
        return found

    def add(self, block: Block, row: tuple[Any, ...]) -> None:
        """One more record, of a block of these records."""
        block.rows.append(row)
        block.numbers.append(self.count)
        self.count += 1

    def extend(self, other: Records) -> None:
        """Other records, after these."""
        for names, theirs in other.blocks.items():
            block = self.block(names)
            block.rows += theirs.rows
            block.numbers += [self.count + number for number in theirs.numbers]
        self.count += other.count

    def names(self) -> list[str]:
        """All fields, in order of first appearance."""
        return list(dict.fromkeys(name for names in self.blocks for name in names))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        found: list[dict[str, Any]] = [{}] * self.count
        for names, block in self.blocks.items():
            for number, row in zip(block.numbers, block.rows, strict=True):
                found[number] = dict(zip(names, row, strict=True))
        return iter(found)
