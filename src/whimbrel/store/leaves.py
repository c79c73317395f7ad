"""What arrives, flattened: every value-bearing column or struct member as one leaf with a dotted name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from whimbrel.store.sql import literal


class Family(Enum):
    """How a leaf's values arrive, which decides how they are read."""

    INTEGER = auto()
    FLOAT = auto()
    BOOLEAN = auto()
    TEXT = auto()
    TIME = auto()
    NUMBERS = auto()
    TEXTS = auto()
    JSON = auto()
    """JSON text: each value bears its own type."""
    CELL = auto()
    """A CSV cell: text that may spell anything."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One column of the flat table: its name as it came, SQL that yields it (NULL where missing), and its family."""

    name: str
    sql: str
    family: Family
    narrow: bool = False
    """An integer of at most 32 bits: no value is too big for a double."""


_INTEGERS = {"tinyint", "smallint", "integer", "utinyint", "usmallint", "uinteger"}
_WIDE = {"bigint", "ubigint", "hugeint", "uhugeint"}
_FLOATS = {"float", "double", "decimal"}
_TIMES = {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}


def flatten(name: str, sql: str, kind: Any, keys_of: Callable[[str], list[str]]) -> Iterator[Leaf]:
    """The leaves under one column of DuckDB type `kind`. Members of structs and maps get dotted names.

    `keys_of(sql)` returns the keys that a map column holds, in order of first appearance.
    """
    tag = kind.id
    if tag == "null":
        return
    if tag == "struct":
        for child, child_kind in kind.children:
            yield from flatten(f"{name}.{child}", f"struct_extract({sql}, {literal(child)})", child_kind, keys_of)
    elif tag == "map":
        value_kind = dict(kind.children)["value"]
        for key in keys_of(sql):
            yield from flatten(f"{name}.{key}", f"map_extract_value({sql}, {literal(key)})", value_kind, keys_of)
    else:
        yield _leaf(name, sql, kind)


def _leaf(name: str, sql: str, kind: Any) -> Leaf:
    tag = kind.id
    if str(kind) == "JSON":
        return Leaf(name, f"nullif({sql}::VARCHAR, 'null')", Family.JSON)
    if tag in _INTEGERS or tag in _WIDE:
        return Leaf(name, sql, Family.INTEGER, narrow=tag in _INTEGERS)
    if tag in _FLOATS:
        return Leaf(name, f"{sql}::DOUBLE", Family.FLOAT)
    if tag == "boolean":
        return Leaf(name, sql, Family.BOOLEAN)
    if tag in _TIMES:
        return Leaf(name, f"{sql}::TIMESTAMP::TIMESTAMPTZ" if tag != "timestamp with time zone" else sql, Family.TIME)
    if tag in ("list", "array"):
        child = dict(kind.children)["child"]
        if child.id in _INTEGERS | _WIDE | _FLOATS | {"boolean"}:
            return Leaf(name, f"{sql}::DOUBLE[]", Family.NUMBERS)
        if child.id in ("varchar", "enum", "uuid") and str(child) != "JSON":
            return Leaf(name, f"{sql}::VARCHAR[]", Family.TEXTS)
    if tag in ("list", "array", "union"):
        return Leaf(name, f"to_json({sql})::VARCHAR", Family.TEXT)
    if tag == "blob":
        return Leaf(name, f"base64({sql})", Family.TEXT)
    return Leaf(name, f"{sql}::VARCHAR", Family.TEXT)
