"""Straight into the table: recorded predictions whose values are all of their fields' kinds, from Arrow to Parquet.

In: arrays of one app's records. Out: rows in its table and `Added`, or None where one of the records is not as plain as that:
a value of another kind, an id twice, a time in the future. Those take the way of every input (`intake.take_in`), which gives the same
rows at several times the cost, for it looks at each value; what may be left to it is left to it. `log.py` calls.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from whimbrel.model.fields import GROUPS, SINGLES, Field, Kind, Schema, split
from whimbrel.model.window import from_micros
from whimbrel.store import labels
from whimbrel.store.arrays import Arrays
from whimbrel.store.batch import HOUR_US, YEAR_2000_US, Spellings
from whimbrel.store.columns import SPECIAL, canonical
from whimbrel.store.delta import Table, Written
from whimbrel.store.intake import scratch
from whimbrel.store.kinds import fixed_kind
from whimbrel.store.layout import Layout
from whimbrel.store.schema import delta_fields, read_schema
from whimbrel.store.sql import connect, literal
from whimbrel.store.values import Added

if TYPE_CHECKING:
    from pathlib import Path

    from deltalake import DeltaTable

    from whimbrel.store.records import Ints

_DAY_US = 86_400_000_000
_KINDS = {"number": Kind.NUMBER, "text": Kind.TEXT, "flag": Kind.BOOLEAN, "numbers": Kind.NUMBERS, "texts": Kind.TEXTS}


def append(layout: Layout, app: str, held: Arrays) -> Added | None:
    """Add the records as one commit; None where they must take the way of every input, and nothing was written.

    Raises:
        StoreError: the log cannot be written.
    """
    if not _are_plain(held):
        return None
    table = layout.predictions(app)

    def change() -> Added | None:
        delta = table.open() if table.exists else None
        before = read_schema(delta) if delta else Schema()
        known = before + labels.label_field(layout, app)
        schema = _schema(held, known)
        if schema is None or (delta is not None and _are_held(table, delta, held)):
            return None
        if delta is None or len(schema.fields) > len(before.fields):
            version = delta.version() if delta else -1
            table.widen(delta_fields(schema, label_ts=False))
            delta = table.open()
            there = read_schema(delta)
            if delta.version() != version + 1 or any(field.path not in there for field in schema):
                return change()  # another writer came in between: what is new must be asked again
        with scratch(layout) as folder:
            written = _written(table, folder, held, schema)
        table.commit(delta, written)
        return Added(sum(file.rows for file in written))

    return table.update(change)


def _are_plain(held: Arrays) -> bool:
    """Whether all fields have names and kinds of their own, all ids are there once, and all times are likely."""
    if held.kinds.get("id") != "text" or held.kinds.get("ts") != "micros":
        return False
    fields = [name for name in held.kinds if name not in ("id", "ts")]
    if any(canonical(name) != name or name in (*SPECIAL, "label") for name in fields):
        return False
    if any(kind != "none" and kind not in _KINDS for name, kind in held.kinds.items() if name in fields):
        return False
    if "error" in held.kinds and "" in held.arrays["error"].to_pylist():
        return False
    ids, late = held.ids, int(time.time() * 1e6) + HOUR_US
    if None in ids or len(set(ids)) < len(ids) or any(not text or text != text.strip() for text in ids):
        return False
    return bool(held.times.min() >= YEAR_2000_US and held.times.max() <= late)


def _schema(held: Arrays, known: Schema) -> Schema | None:
    """The table's fields and those that are new; None where a value would not be of its field's kind."""
    spelled, fields = Spellings(field.path for field in known), []
    for path, told in held.kinds.items():
        kind, before = _KINDS.get(told), known.get(path)
        if kind is None or path == "id":
            continue
        if not spelled.take(path) or kind is not (before.kind if before else fixed_kind(path) or kind):
            return None
        if before is None:
            fields.append(Field(path, kind))
    return Schema((*known, *fields))


def _are_held(table: Table, delta: DeltaTable, held: Arrays) -> bool:
    """Whether the table has one of the ids."""
    import arro3.core as arrow

    files = table.overlapping(delta, min(held.ids), max(held.ids))
    if not files:
        return False
    with connect() as con:
        con.register("given", arrow.Table.from_pydict({"id": held.arrays["id"]}))
        listed = ", ".join(map(literal, files))
        found = con.execute(
            f"SELECT count(*) FROM read_parquet([{listed}], hive_partitioning = false) WHERE id IN (SELECT id FROM given)"
        ).fetchall()
    return bool(found[0][0])


def _written(table: Table, folder: Path, held: Arrays, schema: Schema) -> list[Written]:
    """The files of the records, one a day."""
    import arro3.core as arrow

    days, columns = held.times // _DAY_US, _nested(held, schema)
    files = []
    for day in np.unique(days).tolist():
        rows: Ints = np.flatnonzero(days == day)
        part, ids = columns, held.ids
        if len(rows) < len(days):
            part = {name: column.take(arrow.Array.from_numpy(rows)) for name, column in columns.items()}
            ids = [held.ids[row] for row in rows.tolist()]
        times = held.times[rows]
        first, last = (f"{from_micros(int(us)):%Y-%m-%d %H:%M:%S.%f}+00" for us in (times.min(), times.max()))
        found = Written(
            "",
            0,
            len(rows),
            {"day": f"{from_micros(day * _DAY_US):%Y-%m-%d}"},
            (min(ids), max(ids)),
            (first, last),
        )
        files.append(table.write_arrow(arrow.Table.from_pydict(part), folder, found))
    return files


def _nested(held: Arrays, schema: Schema) -> dict[str, Any]:
    """The fields as the table's columns: groups are structs, in the order of the schema. `rescued` has nothing, and is left out."""
    groups: dict[str, Any] = {}
    columns = {"id": held.arrays["id"], "ts": held.arrays["ts"]}
    for field in schema:
        told = _KINDS.get(held.kinds.get(field.path, ""))
        array = held.arrays[field.path] if told else _nothing(field.kind, len(held.times))
        group, *rest = split(field.path)
        place = groups
        for part in (group, *rest[:-1]) if rest else ():
            place = place.setdefault(part, {})
        place[rest[-1] if rest else group] = array
    order = [name for name in (*SINGLES, *GROUPS) if name in groups]
    return columns | {name: _column(groups[name]) for name in order}


def _column(held: Any) -> Any:
    """An array as it is, and a dictionary of some as a struct."""
    import arro3.core as arrow

    if not isinstance(held, dict):
        return held
    arrays = {name: _column(inner) for name, inner in held.items()}
    fields = [arrow.Field(name, array.type) for name, array in arrays.items()]
    return arrow.struct_array([*arrays.values()], fields=fields)


def _nothing(kind: Kind, n: int) -> Any:
    """N times no value of a kind."""
    import arro3.core as arrow

    types = arrow.DataType
    scalar = {Kind.NUMBER: types.float64(), Kind.TEXT: types.utf8(), Kind.BOOLEAN: types.bool()}
    if kind in scalar:
        return arrow.Array([None] * n, scalar[kind])
    if kind is Kind.TIME:
        return arrow.Array([None] * n, types.int64()).cast(types.timestamp("us", tz="UTC"))
    items = arrow.Array([], types.float64() if kind is Kind.NUMBERS else types.utf8())
    ends = arrow.Array.from_numpy(np.zeros(n + 1, np.int32))
    return arrow.list_array(ends, items, mask=arrow.Array.from_numpy(np.ones(n, np.bool_)))
