"""Records as Arrow arrays: one kind of value makes a typed array, several one of JSON texts.

In: `Records`. Out: an array for each field. `tables.py` calls.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain
from typing import Any

import numpy as np

from whimbrel.store.records import Column, Records

_EXACT = 2**53
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIRST_US, _LAST_US = ((end.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND for end in (datetime.min, datetime.max))

Part = Column | Sequence[Any]
"""Some of a field's values, one after the other."""


def to_arrow(records: Records) -> tuple[dict[str, Any], set[int]]:
    """Arrow arrays by column name: `rn`, the records' numbers, and c0, c1, … in the order of their `names`.

    `ts` is in microseconds since 1970; a time that is none stays what it is. Also returned: which arrays hold JSON texts,
    for a field's values are of several kinds there.
    """
    import arro3.core as arrow

    pieces, blocks = records.pieces, records.blocks
    numbers = np.concatenate(
        [piece.numbers for piece in pieces] + [np.array(b.numbers, np.int64) for b in blocks.values()]
    )
    told: list[tuple[dict[str, Part], int]] = [(dict(piece.columns), len(piece.numbers)) for piece in pieces]
    for names, block in blocks.items():
        told.append((dict(zip(names, zip(*block.rows, strict=True), strict=True)), len(block.rows)))
    held, mixed = {"rn": arrow.Array(numbers)}, set()
    for i, name in enumerate(records.names()):
        parts: list[Part] = [columns.get(name, (None,) * count) for columns, count in told]
        kind = _common(name, parts)
        if kind in ("number", "micros") and all(isinstance(part, Column) and part.missing is None for part in parts):
            values = np.concatenate([part.values for part in parts if isinstance(part, Column)])
            held[f"c{i}"] = _stamped(arrow.Array(values)) if kind == "micros" else arrow.Array(values)
            continue
        values = [value for part in parts for value in _values(part, kind)]
        if kind is None:
            mixed.add(i)
            told_ = map(_moment, values) if name == "ts" else values
            values = [None if value is None else encode(value) for value in told_]
        held[f"c{i}"] = _typed(values, kind or "text")
    return held, mixed


def _common(name: str, parts: Sequence[Part]) -> str | None:
    """The one kind of value that all parts hold; None where there are several."""
    kinds = set()
    for part in parts:
        if isinstance(part, Column):
            kinds.add(part.kind)
        elif name == "ts" and _are_micros(part):
            kinds.add("micros")
        elif any(value is not None for value in part):
            kinds.add(_kind(part))
    kinds.discard("none")
    return kinds.pop() if len(kinds) == 1 else None


def _values(part: Part, kind: str | None) -> Sequence[Any]:
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
    if kind == "text":
        texts = [value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value for value in column]
        return arrow.Array(texts, types.binary()).cast(types.utf8())
    if kind == "time":
        column = [None if value is None else (value - _EPOCH) // _MICROSECOND for value in column]
    if kind in ("time", "micros"):
        return _stamped(arrow.Array(list(column), types.int64()))
    if kind in ("number", "flag"):
        return arrow.Array(list(column), types.float64() if kind == "number" else types.bool())
    lists = [value or () for value in column]
    ends = arrow.Array(list(accumulate(map(len, lists), initial=0)), types.int32())
    items = _typed(list(chain.from_iterable(lists)), "number" if kind == "numbers" else "text")
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
