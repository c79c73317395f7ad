"""Tables in memory as raw input: pandas, Polars, and anything else that exports an Arrow stream. pyarrow is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whimbrel.errors import InputError, UsageError
from whimbrel.store.arrays import Arrays, encode
from whimbrel.store.leaves import Leaf
from whimbrel.store.raw import Raw, check_width, columns_of, json_column, json_rows
from whimbrel.store.sql import input_errors

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def open_table(con: DuckDBPyConnection, table: Any, label: str = "table") -> Raw:
    """A table as raw input.

    Raises:
        UsageError: not a table.
        InputError: a column of a type that cannot be read.
    """
    room = type(table).__module__.partition(".")[0]
    with input_errors(f"the {room} table", label):
        if room == "pandas" and hasattr(table, "columns"):
            return _pandas(con, table, label)
        if room == "polars" and hasattr(table, "collect_schema"):
            table = _settled(table)
        if hasattr(table, "__arrow_c_stream__") and room != "pandas":
            return _arrow(con, table, label)
    raise UsageError(
        f"cannot take a {type(table).__module__}.{type(table).__qualname__} as a table",
        why="a table is a pandas or Polars DataFrame, or anything with __arrow_c_stream__",
        next="for a list of dicts write pandas.DataFrame(rows); for files use import_files",
    )


def open_records(con: DuckDBPyConnection, records: list[str], label: str) -> Raw:
    """JSON objects, one a string, as raw input."""
    import arro3.core as arrow

    con.register("records", arrow.Table.from_pydict({"line": arrow.Array(records, arrow.DataType.utf8())}))
    return json_rows(con, "(SELECT row_number() OVER () - 1 AS rn, line FROM records)", label)


def open_flat(con: DuckDBPyConnection, held: Arrays, label: str) -> Raw:
    """Flat records as raw input: a typed column where a field's values are of one kind, else one of JSON.

    Raises:
        InputError: more different names than a log can hold fields.
    """
    import arro3.core as arrow

    names = list(held.kinds)
    check_width(len(names), label)
    columns = {f"c{i}": held.arrays[name] for i, name in enumerate(names)}
    con.register("given", arrow.Table.from_pydict({"rn": arrow.Array.from_numpy(held.numbers), **columns}))
    typed = [i for i, kind in enumerate(held.kinds.values()) if kind != "json"]
    listed = ", ".join(f"c{i}" for i in typed)
    found = columns_of(con, f"(SELECT rn, {listed} FROM given)", [names[i] for i in typed]) if typed else ()
    plain = {leaf.name: [leaf] for leaf in found}
    leaves: list[Leaf] = []
    for i, (name, kind) in enumerate(held.kinds.items()):
        column_sql = f"(SELECT rn, c{i} FROM given)"
        leaves.extend(json_column(con, column_sql, f"c{i}", name) if kind == "json" else plain[name])
    return Raw(label, "given", tuple(leaves))


def _numbered(con: DuckDBPyConnection, held: Any, columns: int) -> str:
    con.register("given", held)
    renamed = ", ".join(f"c{i}" for i in range(columns))
    return (
        f"(SELECT row_number() OVER () - 1 AS rn, * FROM given t({renamed}))"
        if columns
        else "(SELECT 0 AS rn WHERE false)"
    )


def _arrow(con: DuckDBPyConnection, table: Any, label: str) -> Raw:
    import arro3.core as arrow

    try:
        held = arrow.Table.from_arrow(table)
    except Exception as error:  # arro3 raises bare exceptions
        raise InputError(
            f"cannot read the table: {error}", where=label, why="a column has a type that Arrow readers do not share",
            next="convert that column to numbers, text, booleans or times",
        ) from error  # fmt: skip
    names = list(held.column_names)
    check_width(len(names), label)
    relation = _numbered(con, held.rename_columns([f"c{i}" for i in range(len(names))]), len(names))
    return Raw(label, relation, columns_of(con, relation, names))


def _settled(frame: Any) -> Any:
    """A Polars frame without what its Arrow stream cannot carry."""
    if not hasattr(frame, "height"):
        raise UsageError(
            "a Polars LazyFrame has no rows yet", why="it is a plan, not a table", next="pass frame.collect()"
        )
    empty = [name for name, dtype in frame.schema.items() if str(dtype) == "Null"]
    return frame.drop(empty) if empty else frame


def _pandas(con: DuckDBPyConnection, frame: Any, label: str) -> Raw:
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    if named:
        frame = frame.reset_index(level=named)
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the table has two columns named {twice!r}", where=label, next="rename one of them")
    check_width(len(names), label)
    held: dict[str, Any] = {}
    mixed = set()
    for i in range(len(names)):
        column = frame.iloc[:, i]
        kind = str(column.dtype)
        if kind == "category":
            dtype = column.cat.categories.dtype
            column = column.astype({"i": "Int64", "u": "UInt64", "b": "boolean"}.get(dtype.kind, dtype))
            kind = str(column.dtype)
        if kind == "object":
            mixed.add(i)
            missing = column.isna().tolist()
            column = [None if gone else encode(value) for value, gone in zip(column.tolist(), missing, strict=True)]
        elif kind.startswith(("period", "interval", "complex", "Sparse")):
            column = column.astype(str)
        held[f"c{i}"] = column
    relation = _numbered(con, type(frame)(held, index=frame.index).reset_index(drop=True), len(names))
    leaves: list[Leaf] = []
    for i, name in enumerate(names):
        column = f"(SELECT rn, c{i} FROM {relation})"
        leaves.extend(json_column(con, column, f"c{i}", name) if i in mixed else columns_of(con, column, [name]))
    return Raw(label, relation, tuple(leaves))
