"""Records as Arrow arrays: one kind of value makes a typed array, several one of JSON texts.

In: `Records`. Out: an array for each field. `tables.py` calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain
from typing import Any

import numpy as np

from whimbrel.store.cdata import array
from whimbrel.store.records import Block, Column, Ints, Names, Records, texts

_EXACT = 2**53
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIRST_US, _LAST_US = ((end.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND for end in (datetime.min, datetime.max))

Part = Column | Sequence[Any]
"""Some of a field's values, one after the other."""


@dataclass(slots=True)
class Arrays:
    """Records field by field, n of them in the order of `numbers`.

    `kinds` says of each name what its array holds: number, text, flag, time, micros (`ts`, in microseconds since 1970), numbers
    or texts (lists), none (no value at all), and json where the values are of several kinds. NaN is no value.
    """

    numbers: Ints
    kinds: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    """`id`, where all are texts."""
    times: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """`ts`, where all are micros."""


def to_arrow(records: Records) -> Arrays:
    """The records' fields as Arrow arrays. A `ts` that is no time stays what it is."""
    pieces, blocks = records.pieces, records.blocks
    told: list[tuple[Mapping[str, Part], int]] = [(piece.columns, len(piece.numbers)) for piece in pieces]
    if blocks:
        told.append((_columns(blocks), sum(len(block.rows) for block in blocks.values())))
    numbers = [*(piece.numbers for piece in pieces), *(np.array(block.numbers, np.int64) for block in blocks.values())]
    found = Arrays(np.concatenate(numbers))
    for name in records.names():
        parts = [(columns.get(name), count) for columns, count in told]
        kind = found.kinds[name] = _common(name, parts)
        if kind in ("time", "texts"):
            found.arrays[name] = _listed(_values(parts), kind)
            continue
        if kind in ("json", "none"):
            values = map(_moment, _values(parts)) if name == "ts" else _values(parts)
            column = texts([None if value is None else encode(value) for value in values])
        else:
            column = _joined([_column(part, kind, count) for part, count in parts])
        found.arrays[name] = _array(column)
        if name == "id" and kind == "text":
            found.ids = column.to_list()
        elif kind == "micros":
            found.times = column.values
    return found


def _columns(blocks: Mapping[Names, Block]) -> dict[str, list[Any]]:
    """The fields of all blocks, one block's values after the other's: None where there is none."""
    columns: dict[str, list[Any]] = {}
    count = 0
    for names, block in blocks.items():
        for name, values in zip(names, zip(*block.rows, strict=True), strict=True):
            column = columns.setdefault(name, [])
            column += [None] * (count - len(column))
            column += values
        count += len(block.rows)
    for column in columns.values():
        column += [None] * (count - len(column))
    return columns


def _common(name: str, parts: Sequence[tuple[Part | None, int]]) -> str:
    """The one kind of value that all parts hold."""
    kinds = set()
    for part, _ in parts:
        if isinstance(part, Column):
            kinds.add(part.kind)
        elif part is not None and name == "ts" and _are_micros(part):
            kinds.add("micros")
        elif part is not None and any(value is not None for value in part):
            kinds.add(_kind(part) or "json")
    kinds.discard("none")
    return (kinds.pop() if len(kinds) == 1 else "json") if kinds else "none"


def _values(parts: Sequence[tuple[Part | None, int]]) -> list[Any]:
    """The values as Python has them."""
    values: list[Any] = []
    for part, count in parts:
        values += [None] * count if part is None else part.to_list() if isinstance(part, Column) else part
    return values


def _column(part: Part | None, kind: str, count: int) -> Column:
    """A part as a column of a kind. NaN is no value."""
    if isinstance(part, Column) and part.kind == kind:
        lacking = np.isnan(part.values) if kind == "number" else None
        if lacking is None or not lacking.any():
            return part
        return replace(part, missing=lacking if part.missing is None else lacking | part.missing)
    values = [None] * count if part is None or isinstance(part, Column) else part
    if kind == "text":
        return texts(values)
    missing = np.array([value is None or value != value for value in values], np.bool_)
    if kind == "numbers":
        ends = np.cumsum(np.array([len(value or ()) for value in values], np.int64))
        items = np.array([item for value in values for item in value or ()], np.float64)
        return Column(kind, items, missing, ends=ends)
    kinds = {"number": np.float64, "micros": np.int64, "flag": np.bool_}
    return Column(kind, np.array([value or 0 for value in values], kinds[kind]), missing)


def _joined(columns: Sequence[Column]) -> Column:
    """Columns of one kind, one after the other."""
    if len(columns) == 1:
        return columns[0]
    missing = None
    if any(column.missing is not None for column in columns):
        missing = np.concatenate(
            [np.zeros(len(column), np.bool_) if column.missing is None else column.missing for column in columns]
        )
    before = np.cumsum([0, *(len(column.values) for column in columns)])
    ends = [column.ends + start for column, start in zip(columns, before, strict=False) if column.ends is not None]
    values = np.concatenate([column.values for column in columns])
    return Column(columns[0].kind, values, missing, ends=np.concatenate(ends) if ends else None)


def _array(column: Column) -> Any:
    """A column as an Arrow array."""
    n, values, missing = len(column), column.values, column.missing
    match column.kind:
        case "number":
            return array("g", n, values, missing=missing)
        case "micros":
            return array("tsu:UTC", n, values, missing=missing)
        case "flag":
            return array("b", n, np.packbits(values, bitorder="little"), missing=missing)
    import arro3.core as arrow

    ends = np.concatenate([[0], column.ends]).astype(np.int32)
    if column.kind == "text":
        return array("u", n, ends, values, missing=missing)
    mask = None if missing is None else arrow.Array.from_numpy(missing)
    return arrow.list_array(arrow.Array.from_numpy(ends), array("g", len(values), values), mask=mask)


def _listed(values: Sequence[Any], kind: str) -> Any:
    """Times, and lists of texts, as an Arrow array."""
    import arro3.core as arrow

    types = arrow.DataType
    if kind == "time":
        told = [None if value is None else (value - _EPOCH) // _MICROSECOND for value in values]
        return arrow.Array(told, types.int64()).cast(types.timestamp("us", tz="UTC"))
    ends = arrow.Array(list(accumulate((len(value or ()) for value in values), initial=0)), types.int32())
    items = arrow.Array([item for value in values for item in value or ()], types.utf8())
    return arrow.list_array(ends, items, mask=arrow.Array([value is None for value in values], types.bool()))


def _are_micros(column: Sequence[Any]) -> bool:
    """Whether these are all microseconds since 1970 of a time that there is."""
    return set(map(type, column)) == {int} and min(column) >= _FIRST_US and max(column) <= _LAST_US


def _moment(us: Any) -> Any:
    """Microseconds since 1970 as a time; what is none stays as it is."""
    try:
        return _EPOCH + timedelta(microseconds=us)
    except (TypeError, OverflowError):
        return us


def _kind(column: Sequence[Any]) -> str | None:
    """The one kind of value that a column holds beside None; None where it holds several, or another."""
    types = list(map(type, column))
    kinds = {types[0]} if types.count(types[0]) == len(types) else set(types)
    kinds.discard(type(None))
    if kinds == {float}:
        return "number"
    if kinds == {str}:
        return "text"
    if kinds <= {int, float} and kinds:
        whole = all(-_EXACT < value < _EXACT for value in column if type(value) is int)
        return "number" if whole else None
    if kinds == {bool}:
        return "flag"
    if kinds == {datetime}:
        return "time"
    if kinds == {list}:
        inner = set(map(type, chain.from_iterable(filter(None, column)))) - {type(None)}
        return "numbers" if inner <= {int, float} else "texts" if inner == {str} else None
    return None


def encode(value: Any) -> str:
    """A record or a mixed value as JSON text; infinities and NaN as JavaScript spells them, the unknown as its text."""
    return _ENCODER.encode(value)


def _plain(value: Any) -> Any:
    for method in ("isoformat", "tolist", "as_py"):
        if hasattr(value, method):
            return getattr(value, method)()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    return float(value) if type(value).__name__ == "Decimal" else str(value)


_ENCODER = json.JSONEncoder(default=_plain, ensure_ascii=False, separators=(",", ":"))
