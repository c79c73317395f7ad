"""One prediction by its id: in the tables first, then in what recorders wrote and the log has not taken in yet.

In: a log's layout and an id, or the beginning of one. Out: `Found`. What waits is left waiting:
whoever looks for one prediction does not pay for the ingest of all. `show/` may call, through `Log.find`.

The way to one row of millions: Delta's own first and last id of each file leave out most files, Parquet's leave out most
row groups. Ids that grow with time (UUIDv7) are found so at once; where others stand is kept beside the table (`rownumbers.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.fields import GROUPS, SINGLES, Field, Kind, Schema
from whimbrel.model.window import micros
from whimbrel.store.find_waiting import Waits, apps_waiting, beginning_with, waits_of
from whimbrel.store.layout import Layout
from whimbrel.store.rownumbers import rows_with
from whimbrel.store.schema import read_schema
from whimbrel.store.sql import connect, literal, store_errors

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from duckdb import DuckDBPyConnection

    from whimbrel.store.delta import Table

_SHOWN = 5
_MANY = 500_000
"""Rows from which on it pays to keep where each id stands."""

_LAST = "\U0010ffff"
"""Sorts behind every character: ids with one beginning lie between it and it with this at its end."""


@dataclass(frozen=True, slots=True)
class Found:
    """One prediction as it was recorded, with the label and decisions that came later in their places.

    `values` are by dotted path, in the order of the app's fields, without nulls; `ts` and `label_ts` are microseconds since
    1970. `state` is `ended`, `failed`, `unfinished` (its process ended before it did) or `running`; `waits` says that the
    log has not taken it in yet. `empty` are fields of the app that it lacks. `process` are the facts of the process that made it, empty where it is not known.
    """

    app: str
    id: str
    ts: int | None
    state: str
    waits: bool
    values: Mapping[str, Any]
    label_ts: int | None = None
    rescued: Mapping[str, str] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    process: Mapping[str, Any] = field(default_factory=dict)


def find(layout: Layout, ident: str, *, app: str | None = None) -> Found:
    """The prediction of this id, or of the only id that begins so.

    Raises:
        UsageError: no app of that name; no prediction of that id; several begin so, or several apps have one of it.
        EvidenceError: the log holds nothing at all.
        StoreError: a table is damaged.
    """
    apps = _apps(layout, app)
    if not ident:
        raise UsageError("an id is missing", where="ID", next="whimbrel ls lists the newest predictions")
    if not ident.isascii() and ident != ident.encode("utf-8", "replace").decode():
        raise _unknown(layout, ident, apps)  # bytes of a command line that are no text
    with store_errors(layout.home, "read"), connect() as con:
        found = [one for name in apps if (one := _exact(con, layout, name, ident))]
        if not found:
            begun = sorted({pair for name in apps for pair in _beginning(con, layout, name, ident)})
            if len({whole for _, whole in begun}) > 1:
                raise _ambiguous(ident, [whole for _, whole in begun])
            found = [one for name, whole in begun if (one := _exact(con, layout, name, whole))]
    if not found:
        raise _unknown(layout, ident, apps)
    if len(found) > 1:
        names = [one.app for one in found]
        raise UsageError(
            f"{len(found)} apps have a prediction {found[0].id!r}", where=str(layout.home), why=f"they are {', '.join(names)}",
            next=f"say which: whimbrel show {found[0].id} --app {names[0]}",
        )  # fmt: skip
    return found[0]


def _apps(layout: Layout, app: str | None) -> tuple[str, ...]:
    known = tuple(sorted({*layout.apps(), *apps_waiting(layout)}))
    if not known:
        raise EvidenceError(
            "the log holds no predictions", where=str(layout.home), why="nothing was recorded or imported yet, or this is another folder",
            next="whimbrel import FILE, or point --home at the right folder",
        )  # fmt: skip
    if app is not None and app not in known:
        raise UsageError(f"the log holds no app {app!r}", where="--app", next=f"choose one of {', '.join(known)}")
    return known if app is None else (app,)


def _unknown(layout: Layout, ident: str, apps: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"there is no prediction {ident[:200]!r}", where=f"{layout.home}, app {', '.join(apps)}",
        why="no id in the log or among what waits is or begins so; it was never recorded here, or not retained",
        next="whimbrel ls lists the newest predictions, and --app looks in another app",
    )  # fmt: skip


def _ambiguous(ident: str, ids: list[str]) -> UsageError:
    some = sorted(set(ids))
    more = "several" if len(some) > _SHOWN else str(len(some))
    return UsageError(
        f"{more} predictions have ids that begin with {ident!r}", where="ID", why=f"such as {', '.join(some[:_SHOWN])}",
        next=f"write more of it: whimbrel show {some[0]}",
    )  # fmt: skip


def _exact(con: DuckDBPyConnection, layout: Layout, app: str, ident: str) -> Found | None:
    """The prediction of exactly this id."""
    table = layout.predictions(app)
    waits = waits_of(
        layout, app, ident
    )  # before the table: what an ingest moves meanwhile is then seen twice, not never
    delta = table.open() if table.exists else None
    row = _row(con, layout, app, delta, ident) if delta else None
    schema = read_schema(delta) if delta else Schema()
    if row is None and waits.record is None:
        return None
    if row is None:
        return _waiting(con, layout, app, ident, waits, schema)
    values = {item.path: row[item.path] for item in schema if row.get(item.path) is not None}
    for path, value in _late_decisions(con, layout, app, ident):
        values[path] = _of_kind(value, schema.get(path))
    label, label_ts = values.get("label"), row.get("label_ts")
    for late, moment in _late_labels(con, layout, app, ident):
        label, label_ts = late, moment if moment is not None else label_ts
    return _found(con, layout, app, row, values, (label, label_ts), waits, schema, in_table=True)


def _waiting(con: DuckDBPyConnection, layout: Layout, app: str, ident: str, waits: Waits, schema: Schema) -> Found:
    assert waits.record is not None
    record = waits.record
    values = {path: value for path, value in record.items() if value is not None and path not in ("id", "ts")}
    return _found(
        con, layout, app, {"id": ident, "ts": record["ts"]}, values, (None, None), waits, schema, in_table=False
    )


def _found(
    con: DuckDBPyConnection, layout: Layout, app: str, row: Mapping[str, Any], values: dict[str, Any],
    label: tuple[Any, int | None], waits: Waits, schema: Schema, *, in_table: bool,
) -> Found:  # fmt: skip
    """The answer, with what waits of labels and decisions laid over it."""
    for said in waits.decisions:
        values[said["path"]] = said["value"]
    for said in sorted(waits.labels, key=lambda one: one["label_ts"] or 0):
        if label[1] is None or (said["label_ts"] or 0) >= label[1]:
            label = said["label"], said["label_ts"]
    if label[0] is not None:
        values["label"] = label[0]
    process = waits.process
    if in_table:
        process = _process(con, layout.processes, str(values.get("recorder.process", ""))) or process
    rescued = {str(path): str(text) for path, text in row.get("rescued") or ()}
    state = waits.state if not in_table else _state(values.get("error"))
    empty = tuple(item.path for item in schema if item.path not in values)
    return Found(app, row["id"], row["ts"], state, not in_table, values, label[1], rescued, empty, process)


def _state(error: Any) -> str:
    from whimbrel.record.flat import UNFINISHED

    return "unfinished" if error == UNFINISHED else "failed" if error else "ended"


def _row(con: DuckDBPyConnection, layout: Layout, app: str, delta: DeltaTable, ident: str) -> dict[str, Any] | None:
    """The row of an id, flat; `ts` and `label_ts` in microseconds.

    An id that holds its time is looked for at that time first; event times that an app gave may lie anywhere, so it is
    then looked for everywhere.
    """
    table = layout.predictions(app)
    files = _may_hold(con, table, delta, ident, ident)
    if made := _moment_in(ident):
        row = _in_files(con, [file for file, _ in files], ident, f"ts BETWEEN {_time(made, -1)} AND {_time(made, 1)}")
        if row is not None:
            return row
    if sum(rows or _MANY for _, rows in files) < _MANY:
        return _in_files(con, [file for file, _ in files], ident, "true")
    folder = layout.index / table.folder.name
    for file, numbers in rows_with(con, folder, [file for file, _ in files], ident, table=table.folder):
        listed = ", ".join(map(str, numbers))
        row = _in_files(con, [file], ident, f"file_row_number IN ({listed})")
        if row is not None:
            return row
    return None


def _in_files(con: DuckDBPyConnection, files: list[str], ident: str, where: str) -> dict[str, Any] | None:
    """The row of an id in files whose columns may differ."""
    if len(files) > 1:
        sql = f"SELECT filename FROM {_read(files)} WHERE id = ? AND {where} LIMIT 1"
        files = [row[0] for row in con.execute(sql, [ident]).fetchall()]
    if not files:
        return None
    return next(iter(_flat(con, f"SELECT * FROM {_read(files)} WHERE id = ? AND {where} LIMIT 1", [ident])), None)


def _moment_in(ident: str) -> int | None:
    """Microseconds since 1970 of a UUIDv7, to the millisecond; None for any other id."""
    with contextlib.suppress(ValueError):
        whole = UUID(ident)
        return (whole.int >> 80) * 1000 if whole.version == 7 else None
    return None


def _time(us: int, seconds: int) -> str:
    return f"make_timestamptz({us + seconds * 1_000_000}::BIGINT)"


def _may_hold(
    con: DuckDBPyConnection, table: Table, delta: DeltaTable, low: str, high: str
) -> list[tuple[str, int | None]]:
    """The files that may hold ids from `low` to `high`, and how many rows each has."""
    held = "(max_id IS NULL OR max_id >= ?) AND (min_id IS NULL OR min_id <= ?)"
    return [(row[0], row[1]) for row in table.actions(delta, "path, rows", held, (low, high), con=con)]


def _read(files: Iterable[str]) -> str:
    return f"read_parquet([{', '.join(map(literal, files))}], file_row_number = true, hive_partitioning = false)"


def _flat(con: DuckDBPyConnection, sql: str, values: list[Any]) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries of dotted paths."""
    import arro3.core as arrow

    table = arrow.Table.from_arrow(con.sql(sql, params=values))
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    for i in range(table.num_rows):
        row = {name: column[i] for name, column in columns.items()}
        flat: dict[str, Any] = {}
        for name, value in row.items():
            if isinstance(value, datetime) and name in ("ts", "label_ts"):
                flat[name] = micros(value)
            elif name in GROUPS and isinstance(value, dict):
                flat |= _members(name, value, 2 if name == "steps" else 1)
            elif name in SINGLES or name not in GROUPS:
                flat[name] = value
        yield flat


def _members(path: str, struct: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in struct.items():
        if depth > 1 and isinstance(value, dict):
            yield from _members(f"{path}.{name}", value, depth - 1)
        else:
            yield f"{path}.{name}", value


def _late_labels(con: DuckDBPyConnection, layout: Layout, app: str, ident: str) -> list[tuple[Any, int | None]]:
    """Labels that arrived later, the one that holds last."""
    rows = _of(con, layout.labels(app), ident)
    return sorted(((row["label"], row.get("label_ts")) for row in rows), key=lambda one: one[1] or 0)


def _late_decisions(con: DuckDBPyConnection, layout: Layout, app: str, ident: str) -> list[tuple[str, Any]]:
    return sorted((row["path"], row["value"]) for row in _of(con, layout.decisions(app), ident))


def _of_kind(text: str, item: Field | None) -> Any:
    """A late decision, kept as text, in the kind of the app's own decisions."""
    if item is not None and item.kind is Kind.BOOLEAN:
        return text == "true"
    if item is not None and item.kind is Kind.NUMBER:
        with contextlib.suppress(ValueError):
            return float(text)
    return text


def _process(con: DuckDBPyConnection, table: Table, ident: str) -> dict[str, Any]:
    """The facts of a process; none where the log does not know it."""
    rows = _of(con, table, ident) if ident else ()
    return {name: value for row in rows for name, value in row.items() if value is not None}


def _of(con: DuckDBPyConnection, table: Table, ident: str) -> list[dict[str, Any]]:
    """The rows of a small table that bear an id."""
    if not table.exists:
        return []
    files = _may_hold(con, table, table.open(), ident, ident)
    return [row for file, _ in files for row in _flat(con, f"SELECT * FROM {_read([file])} WHERE id = ?", [ident])]


def _beginning(con: DuckDBPyConnection, layout: Layout, app: str, start: str) -> Iterator[tuple[str, str]]:
    """Ids that begin so, as (app, id): a few of them, enough to tell one from several."""
    table = layout.predictions(app)
    if table.exists and (files := _may_hold(con, table, table.open(), start, start + _LAST)):
        sql = f"SELECT id FROM {_read(file for file, _ in files)} WHERE id >= ? AND id < ? LIMIT {_SHOWN + 1}"
        yield from ((app, row[0]) for row in con.execute(sql, [start, start + _LAST]).fetchall())
    yield from ((app, whole) for whole in beginning_with(layout, app, start, _SHOWN + 1))
