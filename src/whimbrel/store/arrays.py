"""Records as Arrow arrays: one kind of value makes a typed array, several one of JSON texts.

In: `Records`. Out: an array for each field. `tables.py` calls.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain
from typing import Any

import numpy as np

from whimbrel.store.records import Column, Ints, Records

_EXACT = 2**53
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIRST_US, _LAST_US = ((end.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND for end in (datetime.min, datetime.max))

Part = Column | Sequence[Any]
"""Some of a field's values, one after the other."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """Records field by field, n of them in the order of `numbers`.

    `kinds` says of each name what its array holds: number, text, flag, time, micros (`ts`, in microseconds since 1970), numbers
    or texts (lists), none (no value at all), and json where the values are of several kinds. NaN is no value.
    """

    numbers: Ints
    kinds: dict[str, str]
    arrays: dict[str, Any]
    ids: Sequence[Any]
    times: Ints
    """`ts` in microseconds where it is micros."""


def to_arrow(records: Records) -> Arrays:
    """The records' fields as Arrow arrays. A `ts` that is no time stays what it is."""
    import arro3.core as arrow

    pieces, blocks = records.pieces, records.blocks.values()
    numbers = np.concatenate(
        [*(piece.numbers for piece in pieces), *(np.array(block.numbers, np.int64) for block in blocks)]
    )
    told: list[tuple[dict[str, Part], int]] = [(dict(piece.columns), len(piece.numbers)) for piece in pieces]
    for names, block in records.blocks.items():
        told.append((dict(zip(names, zip(*block.rows, strict=True), strict=True)), len(block.rows)))
    kinds, arrays, kept = {}, {}, {}
    for name in records.names():
        parts: list[Part] = [columns.get(name, (None,) * count) for columns, count in told]
        kind = kinds[name] = _common(name, parts)
        joined = _joined(parts, kind)
        if joined is not None:
            kept[name] = joined.values
            array = arrow.Array.from_numpy(joined.values)
            if kind == "numbers":
                ends = np.concatenate([[0], joined.ends]).astype(np.int32)
                array = arrow.list_array(arrow.Array.from_numpy(ends), array)
            arrays[name] = _stamped(array) if kind == "micros" else array
            continue
        values = [value for part in parts for value in _values(part, kind)]
        if kind == "json":
            told_ = map(_moment, values) if name == "ts" else values
            values = [None if value is None else encode(value) for value in told_]
        if kind in ("text", "json"):
            values = [
                value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value for value in values
            ]
        arrays[name] = _typed(values, kind)
        kept[name] = values
    times = kept["ts"] if kinds.get("ts") == "micros" else ()
    return Arrays(numbers, kinds, arrays, kept.get("id", ()), np.array(times, np.int64))


def _common(name: str, parts: Sequence[Part]) -> str:
    """The one kind of value that all parts hold."""
    kinds = set()
    for part in parts:
        if isinstance(part, Column):
            kinds.add(part.kind)
        elif name == "ts" and _are_micros(part):
            kinds.add("micros")
        elif any(value is not None for value in part):
            kinds.add(_kind(part) or "json")
    kinds.discard("none")
    return (kinds.pop() if len(kinds) == 1 else "json") if kinds else "none"


def _joined(parts: Sequence[Part], kind: str) -> Column | None:
    """One column of all parts, where all are columns of numbers or flags and none of their values is missing."""
    if kind not in ("number", "micros", "flag", "numbers"):
        return None
    columns = [part for part in parts if isinstance(part, Column) and part.kind == kind and part.missing is None]
    if len(columns) < len(parts):
        return None
    values = np.concatenate([column.values for column in columns])
    if kind == "number" and np.isnan(values).any():
        return None
    if kind != "numbers":
        return Column(kind, values)
    before = np.cumsum([0, *(len(column.values) for column in columns)])
    ends = [column.ends + start for column, start in zip(columns, before, strict=False) if column.ends is not None]
    return Column(kind, values, ends=np.concatenate(ends))


def _values(part: Part, kind: str) -> Sequence[Any]:
    """The values as Python has them; a column's texts stay bytes where all are texts."""
    if isinstance(part, Column):
        return part.values if part.kind == kind == "text" else part.to_list()
    return part


def _stamped(micros: Any) -> Any:
    import arro3.core as arrow

    return micros.cast(arrow.DataType.timestamp("us", tz="UTC"))


def _typed(column: Sequence[Any], kind: str) -> Any:
    """A column of values of one kind as an Arrow array."""
    import arro3.core as arrow

    types = arrow.DataType
    if kind in ("text", "json", "none"):
        return arrow.Array(list(column), types.binary()).cast(types.utf8())
    if kind == "time":
        column = [None if value is None else (value - _EPOCH) // _MICROSECOND for value in column]
    if kind in ("time", "micros"):
        return _stamped(arrow.Array(list(column), types.int64()))
    if kind == "number":
        return arrow.Array([None if value != value else value for value in column], types.float64())  # NaN is no value
    if kind == "flag":
        return arrow.Array(list(column), types.bool())
    lists = [value or () for value in column]
    ends = arrow.Array(list(accumulate(map(len, lists), initial=0)), types.int32())
    inner = list(chain.from_iterable(lists))
    items = arrow.Array(inner, types.float64() if kind == "numbers" else types.utf8())
    return arrow.list_array(ends, items, mask=arrow.Array([value is None for value in column], types.bool()))


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
