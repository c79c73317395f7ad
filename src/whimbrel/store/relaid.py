"""Files of a table laid out anew: several in one, sorted, with all of their rows or those that stay.

In: a table, which of its files, and where not all rows stay a condition. Out: a file that takes their place, by one commit, or nothing
where another commit took one of them first. `compact.py`, `keep.py` call. The long part, reading and writing, is done while others
append to the table; its lock is taken for the commit alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from whimbrel.errors import StoreError
from whimbrel.store.delta import Table, Written, partition_of
from whimbrel.store.sql import flush_threshold, how_many, literal, name, one

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from duckdb import DuckDBPyConnection

_ROW_GROUP = 122_880
_LEAF, _PACKED = 32, 4
"""Bytes that a value takes at the least while it is written, and times that what a file holds is packed."""
_PRIMITIVES = {
    "string": "VARCHAR", "long": "BIGINT", "integer": "INTEGER", "short": "SMALLINT", "byte": "TINYINT", "float": "FLOAT",
    "double": "DOUBLE", "boolean": "BOOLEAN", "binary": "BLOB", "date": "DATE", "timestamp": "TIMESTAMPTZ", "timestamp_ntz": "TIMESTAMP",
}  # fmt: skip


def merged(
    con: DuckDBPyConnection, table: Table, delta: DeltaTable, files: Sequence[str], keep: str = "TRUE", values: Mapping[str, Any] | None = None
) -> Written | None:  # fmt: skip
    """Write the rows of `files` (paths inside the table, of one partition) for which `keep` holds as one file that is not yet part of it.

    Rows are in order of time, or of id where there is none. None where no row stays.

    Raises:
        StoreError: rows that must stay are missing from what was written.
    """
    partition = partition_of(files[0])
    table.fetch([str(table.folder / file) for file in files])
    fields = [field for field in delta.schema().fields if field.name not in table.partition_by]
    select = " UNION ALL ".join(
        f"SELECT {', '.join(_column(field, columns) for field in fields)} FROM {_read(table, same)}"
        for same, columns in _alike(con, table, files)
    )
    held = {field.name for field in fields}
    order = ", ".join(name(column) for column in ("ts", "id") if column in held)
    path = str(Path(Path(files[0]).parent, f"part-{uuid4().hex}.parquet"))
    counted, total = one(con, f"SELECT {how_many(keep)}, count(*) FROM ({select})", values)
    if not counted:
        return None
    size = sum((table.folder / file).stat().st_size for file in files) / total
    rows = min(_ROW_GROUP, max(2048, flush_threshold(max(_LEAF * len(_leaves(fields)), _PACKED * size)) // 2))
    try:
        told = con.execute(
            f"""COPY (SELECT * FROM ({select}) WHERE {keep} ORDER BY {order}) TO {literal(str(table.folder / path))}
            (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}, RETURN_STATS true)""",
            dict(values or {}),
        ).fetchall()
        written = table.written(told[0])
        path = written.path
        if written.rows != counted:
            raise StoreError(
                f"{counted:,} rows were read and {written.rows:,} written", where=str(table.folder / path),
                why="a file changed while it was read", next="run the same command again; the table is as it was",
            )  # fmt: skip
        with (table.folder / path).open("rb+") as whole:
            os.fsync(whole.fileno())
    except BaseException:
        (table.folder / path).unlink(missing_ok=True)
        raise
    return replace(written, partition=partition)


def swap(table: Table, old: Mapping[str, int], new: Sequence[Written], *, same_rows: bool) -> bool:
    """Put written files into the place of `old` ones (sizes by path inside the table); whether that was still possible.

    Where it was not, for another commit took one of them first, the new ones are removed.
    """
    paths = [table.folder / written.path for written in new]

    def change() -> bool:
        delta = table.open()
        held = table.named_facts(delta).keys()
        if new and {written.path for written in new} <= held:
            return True  # an attempt of which it was said that it failed
        if not (old.keys() <= held and all(path.exists() for path in paths)):
            return False
        table.replace(delta, old, new, same_rows=same_rows)
        return True

    done = table.update(change)  # where this fails nobody knows whether they are part of the table: they stay
    for path in () if done else paths:
        path.unlink(missing_ok=True)
    return done


def _read(table: Table, files: Sequence[str]) -> str:
    listed = ", ".join(literal(str(table.folder / file)) for file in files)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _alike(con: DuckDBPyConnection, table: Table, files: Sequence[str]) -> list[tuple[list[str], dict[str, Any]]]:
    """The files by their columns, each group with its columns' types."""
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for file in files:
        told = con.sql(f"FROM {_read(table, [file])}")
        columns = dict(zip(told.columns, told.types, strict=True))
        found.setdefault(repr(columns), ([], columns))[0].append(file)
    return list(found.values())


def _column(field: Any, columns: Mapping[str, Any]) -> str:
    return f"{_value(field.type, name(field.name), columns.get(field.name))} AS {name(field.name)}"


def _value(kind: Any, expression: str, held: Any) -> str:
    """A value of a file as the table's type; what the file lacks is NULL."""
    if held is None:
        return f"NULL::{_sql(kind)}"
    members = getattr(kind, "fields", None)
    if members is None or held.id != "struct":
        return expression if str(held) == _sql(kind) else f"{expression}::{_sql(kind)}"
    inner = dict(held.children)
    packed = ", ".join(
        f"{literal(one.name)}: {_value(one.type, f'struct_extract({expression}, {literal(one.name)})', inner.get(one.name))}"
        for one in members
    )
    return f"CASE WHEN {expression} IS NOT NULL THEN {{{packed}}} END"


def _sql(kind: Any) -> str:
    """A Delta type in SQL."""
    if hasattr(kind, "fields"):
        return "STRUCT(" + ", ".join(f"{name(one.name)} {_sql(one.type)}" for one in kind.fields) + ")"
    if hasattr(kind, "element_type"):
        return f"{_sql(kind.element_type)}[]"
    if hasattr(kind, "key_type"):
        return f"MAP({_sql(kind.key_type)}, {_sql(kind.value_type)})"
    return _PRIMITIVES.get(kind.type, str(kind.type).upper())


def _leaves(fields: Sequence[Any]) -> list[Any]:
    nested = (_leaves(field.type.fields) if hasattr(field.type, "fields") else [field] for field in fields)
    return [leaf for some in nested for leaf in some]
