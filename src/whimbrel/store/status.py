"""What a log holds, from Delta's statistics where they know, and without reading a prediction's values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from whimbrel.model.fields import Role
from whimbrel.model.window import from_micros
from whimbrel.store import golden, quarantine
from whimbrel.store.delta import Table
from whimbrel.store.layout import Layout
from whimbrel.store.schema import read_schema
from whimbrel.store.sql import connect, one, store_errors
from whimbrel.store.values import AppStatus, Status


def read_status(layout: Layout) -> Status:
    """What the log holds.

    Raises:
        StoreError: a table is damaged.
    """
    return Status(
        home=layout.home,
        apps=tuple(_app(layout, app) for app in layout.apps()),
        events=_rows(layout.events),
        goldens=golden.names(layout.golden),
        quarantined=quarantine.count(layout.quarantine),
        segments=sum(1 for path in layout.segments.glob("*/*.seg") if not path.name.startswith(".")),
        bytes=sum(_size(path) for path in _files(layout.home)),
    )


def _app(layout: Layout, app: str) -> AppStatus:
    table = layout.predictions(app)
    with store_errors(table.folder, "read"):
        delta = table.open()
        columns = "count(*), coalesce(sum(rows), 0), coalesce(sum(size), 0), min(min_ts), max(max_ts)"
        files, rows, size, first, last = table.actions(delta, columns)[0]
        schema = read_schema(delta)
        if rows and first is None:  # another program wrote the files, without statistics
            first, last = _extent(table)
        fields = {role.value: len(schema.of(role)) for role in Role if schema.of(role)}
        labelled = _labelled(layout, app) / rows if rows else 0.0
    return AppStatus(
        app, int(rows), from_micros(first) if rows else None, from_micros(last) if rows else None, fields, labelled,
        delta.version(), files, int(size),
    )  # fmt: skip


def _labelled(layout: Layout, app: str) -> int:
    """Predictions with a label of their own or a late one."""
    from deltalake import QueryBuilder

    predictions, late = layout.predictions(app), layout.labels(app)
    query = QueryBuilder().register("held", predictions.open())
    own = "label IS NOT NULL" if read_schema(predictions.open()).get("label") else "false"
    if late.exists:
        query = query.register("late", late.open())
        own += " OR id IN (SELECT id FROM late)"
    if own == "false":
        return 0
    with connect() as con:
        con.register("counted", query.execute(f"SELECT count(*) AS n FROM held WHERE {own}"))
        return int(one(con, "SELECT sum(n) FROM counted")[0])


def _extent(table: Table) -> tuple[int, int]:
    """First and last `ts`, read from the rows."""
    from deltalake import QueryBuilder

    with connect() as con:
        con.register("held", QueryBuilder().register("held", table.open()).execute("SELECT ts FROM held"))
        first, last = one(con, "SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM held")
    return first, last


def _rows(table: Table) -> int:
    return int(table.open().count()) if table.exists else 0


def _files(folder: Path) -> Iterator[str]:
    for root, _, found in os.walk(folder):
        yield from (os.path.join(root, name) for name in found)  # noqa: PTH118 (a log has many files, and Path is slow)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:  # a file that went away while we walked
        return 0
